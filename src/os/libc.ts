/**
 * The C library, through koffi: the only file that declares foreign functions. Pointers are passed as addresses
 * (bigint), so that koffi neither copies nor converts; every address comes from mmap or from a NativeBuffer that a
 * module or a long-lived object holds.
 *
 * Structures and constants are those of the generic 64-bit little-endian Linux ABI, which x64, arm64, riscv64 and
 * loong64 share.
 */

import { getSystemErrorName } from 'node:util';
import koffi from 'koffi';
import { OsError } from './error.js';

if (process.platform !== 'linux' || !['x64', 'arm64', 'riscv64', 'loong64'].includes(process.arch)) {
  throw new OsError(
    'ENOSYS',
    'load',
    `64-bit little-endian Linux is needed, this is ${process.platform}-${process.arch}`,
  );
}

/** An address in this process. */
export type Address = bigint;

// The process's own symbols: works with glibc and with musl, whatever their file names are.
const lib = koffi.load(null);

/**
 * Declares `prototype`; `F` is its TypeScript face. Sizes and counts come back as numbers as long as they are safe
 * integers.
 */
function declare<F>(prototype: string): F {
  return lib.func(prototype) as unknown as F;
}

export const libc = {
  socket: declare<(domain: number, type: number, protocol: number) => number>('int socket(int, int, int)'),
  socketpair: declare<(domain: number, type: number, protocol: number, pair: Address) => number>(
    'int socketpair(int, int, int, uint64_t)',
  ),
  bind: declare<(fd: number, address: Address, length: number) => number>('int bind(int, uint64_t, uint32_t)'),
  listen: declare<(fd: number, backlog: number) => number>('int listen(int, int)'),
  getsockopt: declare<(fd: number, level: number, name: number, value: Address, length: Address) => number>(
    'int getsockopt(int, int, int, uint64_t, uint64_t)',
  ),
  shutdown: declare<(fd: number, how: number) => number>('int shutdown(int, int)'),
  recvmsg: declare<(fd: number, message: Address, flags: number) => number>('intptr_t recvmsg(int, uint64_t, int)'),
  sendmsg: declare<(fd: number, message: Address, flags: number) => number>('intptr_t sendmsg(int, uint64_t, int)'),
  ioctl: declare<(fd: number, request: number, type: 'uint64_t', argument: Address) => number>(
    'int ioctl(int, unsigned long, ...)',
  ),
  fcntl: declare<(fd: number, command: number, type: 'int', argument: number) => number>('int fcntl(int, int, ...)'),
  read: declare<(fd: number, bytes: Address, length: number) => number>('intptr_t read(int, uint64_t, size_t)'),
  write: declare<(fd: number, bytes: Address, length: number) => number>('intptr_t write(int, uint64_t, size_t)'),
  close: declare<(fd: number) => number>('int close(int)'),
  eventfd: declare<(initial: number, flags: number) => number>('int eventfd(uint32_t, int)'),
  memfdCreate: declare<(name: string, flags: number) => number>('int memfd_create(const char *, uint32_t)'),
  mmap: declare<
    (at: bigint, length: bigint, prot: number, flags: number, fd: number, offset: bigint) => number | bigint
  >('uint64_t mmap(uint64_t, size_t, int, int, int, int64_t)'),
  munmap: declare<(at: Address, length: bigint) => number>('int munmap(uint64_t, size_t)'),
  prlimit: declare<(pid: number, resource: number, given: Address, found: Address) => number>(
    'int prlimit(int, int, uint64_t, uint64_t)',
  ),
  sysconf: declare<(name: number) => number>('long sysconf(int)'),
  processVmReadv: declare<ProcessVm>(
    'intptr_t process_vm_readv(int, uint64_t, unsigned long, uint64_t, unsigned long, unsigned long)',
  ),
  processVmWritev: declare<ProcessVm>(
    'intptr_t process_vm_writev(int, uint64_t, unsigned long, uint64_t, unsigned long, unsigned long)',
  ),
  epollCreate: declare<(flags: number) => number>('int epoll_create1(int)'),
  epollCtl: declare<(epoll: number, operation: number, fd: number, event: Address) => number>(
    'int epoll_ctl(int, int, int, uint64_t)',
  ),
  epollWait: declare<(epoll: number, events: Address, max: number, timeoutMs: number) => number>(
    'int epoll_wait(int, uint64_t, int, int)',
  ),
};

/**
 * process_vm_readv(2) and process_vm_writev(2): a process id, local and remote iovec arrays with their lengths, flags
 * (0).
 */
export type ProcessVm = (
  pid: number,
  local: Address,
  localCount: number,
  remote: Address,
  remoteCount: number,
  flags: number,
) => number;

/** Memory at a fixed address for as long as the object lives: an ArrayBuffer's store is never on the moving JS heap. */
export class NativeBuffer {
  readonly bytes: Buffer;
  readonly address: Address;

  constructor(size: number) {
    this.bytes = Buffer.from(new ArrayBuffer(size));
    this.address = koffi.address(this.bytes);
  }
}

/** The errno name of the last failed call, e.g. `EAGAIN`. Read it before anything else can make a call. */
export function lastError(): string {
  return getSystemErrorName(-koffi.errno());
}

/** Passes on the result of a call that must not fail. @throws OsError when it is negative. */
export function must(result: number, call: string, hint?: string): number {
  if (result < 0) throw new OsError(lastError(), call, hint);
  return result;
}

/** A libuv poll handle on one descriptor; closed exactly once, and before its descriptor. */
export interface PollHandle {
  close(): void;
}

/**
 * Calls `callback` on the event loop while `fd` is readable; it must not throw: koffi would keep the exception until node
 * calls it the next time. Not more than one handle per descriptor, or libuv aborts the process.
 *
 * @throws OsError ENOSYS when this koffi has no such handle.
 */
export function pollReadable(fd: number, callback: () => void): PollHandle {
  if (typeof koffi.node?.poll !== 'function') {
    throw new OsError(
      'ENOSYS',
      'uv_poll',
      `koffi ${koffi.version} has no poll handle; the version in package.json has`,
    );
  }
  return koffi.node.poll(fd, { readable: true }, callback);
}
