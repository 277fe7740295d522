/** What is wrong with bytes on the wire, or with what should go there. Stable: tests and tools go by it. */
export type WireErrorCode =
  /** The header's version is not 1. */
  | 'ERR_WIRE_VERSION'
  /** The header announces more payload than any message has. */
  | 'ERR_WIRE_OVERSIZE'
  /** More bytes were pushed than the reader wanted: two messages in one read, so their fds cannot be told apart. */
  | 'ERR_WIRE_OVERRUN'
  /** Fewer bytes than the layout needs. */
  | 'ERR_WIRE_SHORT'
  /** Bytes after the end of the layout. */
  | 'ERR_WIRE_TRAILING'
  /** More regions than one message may hold. */
  | 'ERR_WIRE_REGIONS'
  /** A bit that the spec does not define is set where it would change the meaning. */
  | 'ERR_WIRE_RESERVED'
  /** A value to encode does not fit its field. */
  | 'ERR_WIRE_RANGE';

/** Bytes that are no vhost-user message, or a value that fits in none. */
export class WireError extends Error {
  override readonly name = 'WireError';

  constructor(
    readonly code: WireErrorCode,
    message: string,
    /** What to look at, for a person. */
    readonly hint: string,
  ) {
    super(message);
  }
}
