/**
 * The one error of this folder. `code` is the errno name (`ECONNRESET`, `EFAULT`, ...), or `MSG_CTRUNC` when the kernel
 * could not hand over all file descriptors of a message. `call` is the Linux call that said so, `hint` what to do about
 * it.
 */
export class OsError extends Error {
  override readonly name = 'OsError';
  readonly code: string;
  readonly call: string;
  readonly hint: string | undefined;

  constructor(code: string, call: string, hint?: string) {
    super(hint === undefined ? `${call}: ${code}` : `${call}: ${code} (${hint})`);
    this.code = code;
    this.call = call;
    this.hint = hint;
  }
}
