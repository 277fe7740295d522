/** Codes of what a drill refuses. */
export type DrillErrorCode =
  | 'ERR_VERB'
  | 'ERR_PARAMETERS'
  | 'ERR_PORT'
  | 'ERR_BUSY'
  | 'ERR_STEP'
  | 'ERR_OVER'
  | 'ERR_SOCKET'
  | 'ERR_MONITOR'
  | 'ERR_CONTROL'
  | 'ERR_RECORD'
  | 'ERR_RATE';

/** A drill cannot be begun so, or cannot do what it was asked for. */
export class DrillError extends Error {
  override readonly name = 'DrillError';

  constructor(
    readonly code: DrillErrorCode,
    message: string,
    readonly hint?: string,
  ) {
    super(message);
  }
}
