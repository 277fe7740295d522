import { ftruncateSync } from 'node:fs';
import { OsError } from './error.js';
import { lastError, libc, must, NativeBuffer } from './libc.js';

const F_GETFL = 3;
const F_SETFL = 4;
const F_DUPFD_CLOEXEC = 1030;
const O_NONBLOCK = 0o4000;
const MFD_CLOEXEC = 1;
const AF_UNIX = 1;
const SOCK_STREAM = 1;
/** SOCK_CLOEXEC | SOCK_NONBLOCK, EFD_CLOEXEC | EFD_NONBLOCK: the same bits. */
const CLOEXEC_NONBLOCK = 0o2000000 | O_NONBLOCK;

const pair = new NativeBuffer(8);

/**
 * Closes a file descriptor. @throws OsError EBADF: it was closed before, and by now the number may be somebody else's.
 */
export function closeFd(fd: number): void {
  if (libc.close(fd) === 0) return;
  const code = lastError();
  // EINTR is no failure: Linux has released the descriptor by then (close(2)); a retry would close another one.
  if (code !== 'EINTR') throw new OsError(code, 'close');
}

/** A second descriptor of the same open file, close-on-exec. @throws OsError EBADF, EMFILE */
export function dupFd(fd: number): number {
  return must(libc.fcntl(fd, F_DUPFD_CLOEXEC, 'int', 0), 'fcntl');
}

/** A new anonymous memory file of `size` bytes, close-on-exec; `name` shows in /proc only. */
export function memfd(name: string, size: number): number {
  const fd = must(libc.memfdCreate(name, MFD_CLOEXEC), 'memfd_create');
  ftruncateSync(fd, size);
  return fd;
}

/** Two connected AF_UNIX stream sockets, close-on-exec and non-blocking. */
export function socketPair(): [number, number] {
  must(libc.socketpair(AF_UNIX, SOCK_STREAM | CLOEXEC_NONBLOCK, 0, pair.address), 'socketpair');
  return [pair.bytes.readInt32LE(0), pair.bytes.readInt32LE(4)];
}

/** A new, unconnected AF_UNIX stream socket, close-on-exec and non-blocking. */
export function unixSocket(): number {
  return must(libc.socket(AF_UNIX, SOCK_STREAM | CLOEXEC_NONBLOCK, 0), 'socket');
}

/** A new eventfd with counter 0, close-on-exec and non-blocking. */
export function eventFd(): number {
  return must(libc.eventfd(0, CLOEXEC_NONBLOCK), 'eventfd');
}

/**
 * Makes reads and writes of the open file return EAGAIN instead of waiting. The flag belongs to the open file, so
 * whoever shares it sees it too. Some kinds of file refuse (O_PATH): those cannot block either, their reads and writes
 * fail.
 */
export function makeNonBlocking(fd: number): void {
  const flags = libc.fcntl(fd, F_GETFL, 'int', 0);
  if (flags >= 0) libc.fcntl(fd, F_SETFL, 'int', flags | O_NONBLOCK);
}
