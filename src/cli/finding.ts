/** One thing that the doctor looked at. */
export interface Finding {
  /** ok; warn: the tester works without it, with a loss; fail: it does not work. */
  state: 'ok' | 'warn' | 'fail';
  what: string;
  /** What was found. */
  found: string;
  /** What follows from it, or what to do; for everything that is not ok. */
  advice?: string;
}

/** A look at the machine; it does not throw. */
export type Check = () => Promise<Finding> | Finding;

/** The message of whatever was thrown, with its hint where it has one. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return 'hint' in error && error.hint ? `${error.message} (${error.hint})` : error.message;
}
