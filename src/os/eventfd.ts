import { closeFd, eventFd, makeNonBlocking } from './descriptor.js';
import { OsError } from './error.js';
import { lastError, libc, NativeBuffer } from './libc.js';
import { type ErrorHandler, poller, type Readiness, type Watch } from './poller.js';

const counter = new NativeBuffer(8);

/**
 * An eventfd: the kick, call and error notifications of a ring (vhost-user spec, "Ring states"; eventfd(2)).
 *
 * The other side may have sent any descriptor in its place: a pipe or socket works as far as it can, nothing blocks,
 * and what does not work is told, never thrown from the event loop.
 */
export class EventFd {
  #fd: number;
  #watch: Watch | undefined;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** A new one with counter 0, close-on-exec. */
  static create(): EventFd {
    return new EventFd(eventFd());
  }

  /** Takes over a descriptor that came with a message; it is closed with this object. */
  static adopt(fd: number): EventFd {
    makeNonBlocking(fd);
    return new EventFd(fd);
  }

  /** The descriptor, for sending it; -1 once closed. */
  get fd(): number {
    return this.#fd;
  }

  /**
   * Adds 1 to the counter. @returns false when that is impossible: not an eventfd, its reader is gone, or it is closed.
   */
  signal(): boolean {
    if (this.#fd === -1) return false;
    counter.bytes.writeBigUInt64LE(1n);
    // EAGAIN: the counter is at its maximum, so the other side is being signalled as it is.
    return libc.write(this.#fd, counter.address, 8) >= 0 || lastError() === 'EAGAIN';
  }

  /**
   * Takes the counter and sets it to 0. @returns 0n when there was no signal; 1n for a shorter read, from something
   * else than an eventfd.
   * @throws OsError ENODATA: the end of a pipe or socket; EINVAL, EBADF, ... when it cannot be read.
   */
  drain(): bigint {
    const length = libc.read(this.#fd, counter.address, 8);
    if (length === 8) return counter.bytes.readBigUInt64LE(0);
    if (length > 0) return 1n;
    if (length === 0) throw new OsError('ENODATA', 'read', 'not an eventfd: it has an end');
    const code = lastError();
    if (code === 'EAGAIN' || code === 'EINTR') return 0n;
    throw new OsError(code, 'read', 'not a readable eventfd');
  }

  /**
   * Calls `callback` with the count of each signal, until `close`. `onError` is told what it throws (else an uncaught
   * exception), and why a descriptor that is no eventfd is not watched any more (an OsError; else nothing happens).
   *
   * @throws OsError EPERM when the descriptor is of a kind that cannot signal at all, e.g. a regular file.
   */
  onSignal(callback: (count: bigint) => void, onError?: ErrorHandler): void {
    this.#watch?.close();
    this.#watch = poller.watch(
      this.#fd,
      { readable: true },
      (readiness) => {
        const count = this.#take(readiness, onError);
        if (count > 0n) callback(count);
      },
      onError,
    );
  }

  /** Ends the watch, then closes the descriptor; idempotent. */
  close(): void {
    if (this.#fd === -1) return;
    this.#watch?.close();
    closeFd(this.#fd);
    this.#fd = -1;
  }

  #take({ hangup, error }: Readiness, onError: ErrorHandler | undefined): bigint {
    try {
      const count = this.drain();
      // No signal after all is normal, the front-end may have taken it back. With a hang-up it would never end.
      if (count === 0n && (hangup || error)) throw new OsError('EPIPE', 'epoll_wait', 'not an eventfd: it hung up');
      return count;
    } catch (failure) {
      this.#watch?.close();
      onError?.(failure);
      return 0n;
    }
  }
}
