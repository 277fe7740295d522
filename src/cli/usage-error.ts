/** What is wrong with a command line, a configuration, or the machine as far as the user can change it. */
export type UsageErrorCode =
  | 'ERR_USAGE'
  | 'ERR_CONFIG'
  | 'ERR_ENVIRONMENT'
  | 'ERR_NOTHING_SELECTED'
  | 'ERR_NOTHING_RUNS'
  | 'ERR_OUT'
  | 'ERR_UNKNOWN_NAME';

/** Ends the command with exit code 2 and one line. */
export class UsageError extends Error {
  override readonly name = 'UsageError';

  constructor(
    readonly code: UsageErrorCode,
    message: string,
    readonly hint?: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
