/** Codes of what goes wrong with the files that a guest is made of. */
export type GuestErrorCode =
  /** The kernel, busybox or the folder of modules is not there, or is something else. */
  | 'ERR_GUEST_FILES'
  /** A module that the guest needs is not there. */
  | 'ERR_GUEST_MODULE'
  /** A compressed module cannot be unpacked. */
  | 'ERR_GUEST_UNPACK';

/** The one error of this folder. */
export class GuestError extends Error {
  constructor(
    readonly code: GuestErrorCode,
    message: string,
    readonly hint: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'GuestError';
  }
}
