/** Codes of what is wrong with a migration stream. */
export type MigrationErrorCode =
  /** It does not begin as a stream of QEMU's does, or has a version that is not known. */
  | 'ERR_MIGRATION_HEADER'
  /** A section that is not known where one is due, or one of another device than RAM before RAM is through. */
  | 'ERR_MIGRATION_SECTION'
  /** A section without its footer. */
  | 'ERR_MIGRATION_FOOTER'
  /** A page of memory sent in a way that was not asked for, or of a block that was not announced. */
  | 'ERR_MIGRATION_PAGE';

/** Bytes that are no migration stream as QEMU sends it without multifd, postcopy and compression. */
export class MigrationError extends Error {
  override readonly name = 'MigrationError';

  constructor(
    readonly code: MigrationErrorCode,
    message: string,
    /** What to look at, for a person. */
    readonly hint: string,
  ) {
    super(message);
  }
}
