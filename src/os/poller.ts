import { OsError } from './error.js';
import { lastError, libc, must, NativeBuffer, type PollHandle, pollReadable } from './libc.js';

const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLL_CTL_MOD = 3;
const EPOLLIN = 0x1;
const EPOLLOUT = 0x4;
const EPOLLERR = 0x8;
const EPOLLHUP = 0x10;
const NOW = 0;

// struct epoll_event is packed on x64 only (sys/epoll.h).
const DATA_OFFSET = process.arch === 'x64' ? 4 : 8;
const EVENT_SIZE = DATA_OFFSET + 8;
const BATCH = 256;
/** What a watch waits for. With neither, the descriptor is taken out of epoll: not even a hang-up is told. */
export interface Interest {
  readable?: boolean;
  writable?: boolean;
}

/**
 * What a descriptor is ready for. `hangup` and `error` come unasked (EPOLLHUP, EPOLLERR) and stay until it is closed.
 */
export interface Readiness {
  readable: boolean;
  writable: boolean;
  hangup: boolean;
  error: boolean;
}

/** One watched descriptor. */
export interface Watch {
  readonly fd: number;
  /**
   * Waits for something else from now on. An event that the kernel had already told is dropped if nobody wants it any
   * more.
   */
  modify(interest: Interest): void;
  /** Ends the watch; idempotent. Always before the descriptor is closed: see Poller. */
  close(): void;
}

/** Told what a callback threw. */
export type ErrorHandler = (error: unknown) => void;

interface Entry {
  readonly id: number;
  readonly fd: number;
  readonly callback: (readiness: Readiness) => void;
  readonly onError: ErrorHandler | undefined;
  /** Epoll events asked for; 0 while not in epoll. */
  mask: number;
}

/**
 * Readiness of descriptors that node cannot watch: sockets that node must not read, eventfds. Level-triggered.
 *
 * One epoll descriptor, itself watched by libuv through koffi's poll handle, which is exported and typed but not in koffi's
 * manual. The documented way, an asynchronous epoll_wait on a pool thread, costs two thread switches per wake-up: measured
 * on whole variants, a tenth of the tester's CPU time.
 *
 * A watch is closed before its descriptor. The kernel forgets a closed descriptor only with the last copy of its open
 * file, and the front-end keeps a copy of every eventfd that it sent: the events would go on, and nothing could end
 * them.
 */
export class Poller {
  /**
   * Entries in epoll, by the id that is their epoll data: an id is never used twice, so a stale event finds nothing.
   */
  readonly #entries = new Map<number, Entry>();
  readonly #fds = new Map<number, Entry>();
  readonly #events = new NativeBuffer(BATCH * EVENT_SIZE);
  readonly #control = new NativeBuffer(EVENT_SIZE);
  #epoll = -1;
  /** Referred to from here, or it would be collected and fall silent. */
  #handle: PollHandle | undefined;
  #lastId = 0;

  /**
   * Calls `callback` on the event loop whenever `fd` is ready. What it throws goes to `onError`, or becomes an uncaught
   * exception if there is none; other watches go on either way.
   *
   * @throws OsError EPERM: a kind of file that is always ready (a regular file, a directory); EEXIST: `fd` is watched
   * already; EBADF: no such descriptor.
   */
  watch(fd: number, interest: Interest, callback: (readiness: Readiness) => void, onError?: ErrorHandler): Watch {
    const entry: Entry = { id: ++this.#lastId, fd, callback, onError, mask: 0 };
    let closed = false;
    this.#set(entry, maskOf(interest));
    return {
      fd,
      modify: (next) => {
        if (closed) throw new OsError('EINVAL', 'epoll_ctl', 'the watch is closed');
        this.#set(entry, maskOf(next));
      },
      close: () => {
        closed = true;
        this.#set(entry, 0);
      },
    };
  }

  #set(entry: Entry, mask: number): void {
    const { id, fd } = entry;
    if (mask === entry.mask) return;
    if (entry.mask === 0) {
      if (this.#fds.has(fd)) {
        throw new OsError('EEXIST', 'epoll_ctl', `descriptor ${fd} is watched, or was closed before its watch`);
      }
      this.#open();
      this.#ctl(EPOLL_CTL_ADD, id, fd, mask);
      this.#entries.set(id, entry);
      this.#fds.set(fd, entry);
    } else if (mask === 0) {
      this.#entries.delete(id);
      this.#fds.delete(fd);
      entry.mask = 0;
      this.#ctl(EPOLL_CTL_DEL, id, fd, 0, 'close a watch before its descriptor');
    } else {
      this.#ctl(EPOLL_CTL_MOD, id, fd, mask);
    }
    entry.mask = mask;
    this.#wait();
  }

  #ctl(operation: number, id: number, fd: number, mask: number, hint?: string): void {
    this.#control.bytes.writeUInt32LE(mask, 0);
    this.#control.bytes.writeBigUInt64LE(BigInt(id), DATA_OFFSET);
    must(libc.epollCtl(this.#epoll, operation, fd, this.#control.address), 'epoll_ctl', hint);
  }

  #open(): void {
    if (this.#epoll === -1) this.#epoll = must(libc.epollCreate(EPOLL_CLOEXEC), 'epoll_create1');
  }

  /** Holds libuv's watch of the epoll descriptor while anything is in it, and no longer: the event loop is then free to end. */
  #wait(): void {
    if (this.#entries.size > 0) {
      this.#handle ??= pollReadable(this.#epoll, () => {
        this.#dispatch();
        this.#wait();
      });
    } else {
      this.#handle?.close();
      this.#handle = undefined;
    }
  }

  #dispatch(): void {
    const count = libc.epollWait(this.#epoll, this.#events.address, BATCH, NOW);
    if (count < 0) {
      const code = lastError();
      if (code !== 'EINTR') raise(new OsError(code, 'epoll_wait', 'something closed the descriptor of the poller'));
      return;
    }
    const events = this.#events.bytes;
    for (let at = 0; at < count * EVENT_SIZE; at += EVENT_SIZE) {
      const id = Number(events.readBigUInt64LE(at + DATA_OFFSET));
      const entry = this.#entries.get(id);
      if (entry === undefined) continue;
      const ready = events.readUInt32LE(at) & (entry.mask | EPOLLERR | EPOLLHUP);
      if (ready !== 0) deliver(entry, ready);
    }
  }
}

function maskOf({ readable, writable }: Interest): number {
  return (readable ? EPOLLIN : 0) | (writable ? EPOLLOUT : 0);
}

function deliver(entry: Entry, ready: number): void {
  try {
    entry.callback({
      readable: (ready & EPOLLIN) !== 0,
      writable: (ready & EPOLLOUT) !== 0,
      hangup: (ready & EPOLLHUP) !== 0,
      error: (ready & EPOLLERR) !== 0,
    });
  } catch (error) {
    report(error, entry.onError);
  }
}

/** Hands `error` to `onError`; without one, or when that throws too, it becomes an uncaught exception. */
function report(error: unknown, onError: ErrorHandler | undefined): void {
  try {
    if (onError === undefined) throw error;
    onError(error);
  } catch (unhandled) {
    raise(unhandled);
  }
}

/** Throws outside of the native callback, which would lose it. */
function raise(error: unknown): void {
  process.nextTick(() => {
    throw error;
  });
}

/** The poller of this process. */
export const poller = new Poller();
