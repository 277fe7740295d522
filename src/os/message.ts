import { closeFd } from './descriptor.js';
import { OsError } from './error.js';
import { lastError, libc, NativeBuffer } from './libc.js';

/** The most descriptors that one message can carry: SCM_MAX_FD of the kernel (include/net/scm.h). */
export const MAX_FDS = 253;

const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_PEEK = 0x2;
const MSG_CTRUNC = 0x8;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x40000000;

// struct cmsghdr: 64-bit length, level, type. struct msghdr: name, name length, iovec, iovec count, control, control
// length, flags.
const CMSG_HEADER = 16;
const IOV_AT = 16;
const IOV_COUNT_AT = 24;
const CONTROL_AT = 32;
const CONTROL_LENGTH_AT = 40;
const FLAGS_AT = 48;

// Calls are synchronous, so one set of structures serves all sockets.
const control = new NativeBuffer(cmsgSpace(MAX_FDS));
const iovec = new NativeBuffer(16);
const header = new NativeBuffer(56);
header.bytes.writeBigUInt64LE(iovec.address, IOV_AT);
header.bytes.writeBigUInt64LE(1n, IOV_COUNT_AT);
header.bytes.writeBigUInt64LE(control.address, CONTROL_AT);
let data = new NativeBuffer(4096);

/** What one recvmsg gave: bytes with the descriptors that came with them, nothing yet, or the end of the stream. */
export type Received = { bytes: Buffer; fds: number[] } | 'again' | 'eof';

/**
 * Receives at most `max` bytes, without waiting. The descriptors are close-on-exec and the caller's to close.
 *
 * The kernel puts bytes that came without descriptors in front of those that came with some into one read, so a caller
 * that wants to know to which message descriptors belong must not ask for bytes beyond that message's end.
 *
 * @throws OsError ECONNRESET: the other end closed with bytes of ours unread. MSG_CTRUNC: not all descriptors could be
 * received; those that were are closed.
 */
export function receiveMessage(fd: number, max: number): Received {
  if (!(max > 0)) throw new OsError('EINVAL', 'recvmsg', 'nothing asked for would look like the end');
  prepare(max, control.bytes.length);
  let count: number;
  do count = libc.recvmsg(fd, header.address, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  while (count < 0 && lastError() === 'EINTR');
  if (count < 0) {
    const code = lastError();
    if (code === 'EAGAIN') return 'again';
    throw new OsError(code, 'recvmsg');
  }
  const fds = receivedFds();
  if (header.bytes.readUInt32LE(FLAGS_AT) & MSG_CTRUNC) {
    for (const received of fds) closeFd(received);
    throw new OsError('MSG_CTRUNC', 'recvmsg', 'descriptors were lost; raise the limit of open files (ulimit -n)');
  }
  if (count === 0) return 'eof';
  return { bytes: Buffer.from(data.bytes.subarray(0, count)), fds };
}

/** What a look ahead showed: bytes, nothing yet, or the end of the stream. */
export type Peeked = Buffer | 'again' | 'eof';

/**
 * Looks at the next bytes, at most `max`, without waiting and without taking them or the descriptors that come with them.
 * Fewer may be shown than are there.
 *
 * @throws OsError ECONNRESET: the other end closed with bytes of ours unread.
 */
export function peekMessage(fd: number, max: number): Peeked {
  prepare(max, 0);
  let count: number;
  do count = libc.recvmsg(fd, header.address, MSG_DONTWAIT | MSG_PEEK);
  while (count < 0 && lastError() === 'EINTR');
  if (count > 0) return Buffer.from(data.bytes.subarray(0, count));
  if (count === 0) return 'eof';
  const code = lastError();
  if (code === 'EAGAIN') return 'again';
  throw new OsError(code, 'recvmsg');
}

/**
 * Sends as much of `bytes` as the socket takes without waiting, with `fds` attached to the first byte. Raises no
 * SIGPIPE.
 *
 * @returns the number of bytes taken, 0 when the socket is full. @throws OsError EPIPE, ECONNRESET, EBADF,
 * ETOOMANYREFS, ...
 */
export function sendMessage(fd: number, bytes: Buffer, fds: readonly number[]): number {
  prepare(bytes.length, fds.length === 0 ? 0 : cmsgSpace(fds.length));
  bytes.copy(data.bytes);
  if (fds.length > 0) {
    control.bytes.writeBigUInt64LE(BigInt(CMSG_HEADER + 4 * fds.length), 0);
    control.bytes.writeInt32LE(SOL_SOCKET, 8);
    control.bytes.writeInt32LE(SCM_RIGHTS, 12);
    for (const [i, attached] of fds.entries()) control.bytes.writeInt32LE(attached, CMSG_HEADER + 4 * i);
  }
  for (;;) {
    const count = libc.sendmsg(fd, header.address, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count >= 0) return count;
    const code = lastError();
    if (code === 'EAGAIN') return 0;
    if (code !== 'EINTR') throw new OsError(code, 'sendmsg');
  }
}

/** Sets the structures up for `length` bytes of `data`, which grows as needed. */
function prepare(length: number, controlLength: number): void {
  if (length > data.bytes.length) data = new NativeBuffer(length);
  iovec.bytes.writeBigUInt64LE(data.address, 0);
  iovec.bytes.writeBigUInt64LE(BigInt(length), 8);
  header.bytes.writeBigUInt64LE(BigInt(controlLength), CONTROL_LENGTH_AT);
  header.bytes.writeUInt32LE(0, FLAGS_AT);
}

function receivedFds(): number[] {
  const fds: number[] = [];
  const end = Number(header.bytes.readBigUInt64LE(CONTROL_LENGTH_AT));
  for (let at = 0; at + CMSG_HEADER <= end; ) {
    const length = Number(control.bytes.readBigUInt64LE(at));
    if (length < CMSG_HEADER) break;
    const isRights =
      control.bytes.readInt32LE(at + 8) === SOL_SOCKET && control.bytes.readInt32LE(at + 12) === SCM_RIGHTS;
    for (let p = at + CMSG_HEADER; isRights && p + 4 <= at + length; p += 4) fds.push(control.bytes.readInt32LE(p));
    at += align(length);
  }
  return fds;
}

function cmsgSpace(fds: number): number {
  return CMSG_HEADER + align(4 * fds);
}

function align(length: number): number {
  return (length + 7) & ~7;
}
