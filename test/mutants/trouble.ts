/** Trouble of the environment, not a verdict on anything: one line with a hint, and exit code 2. */
export class Trouble extends Error {
  override readonly name = 'Trouble';

  constructor(
    message: string,
    readonly hint?: string,
  ) {
    super(message);
  }
}
