import { libc, must, NativeBuffer } from './libc.js';

/** RLIMIT_NOFILE of the generic Linux ABI (include/uapi/asm-generic/resource.h). */
const RLIMIT_NOFILE = 7;

/** struct rlimit: the soft and the hard limit, 64 bits each. */
const given = new NativeBuffer(16);
const found = new NativeBuffer(16);

/**
 * Sets how far a process's numbers of file descriptors may go: the next must be less than `limit`. Those that it has stay as they
 * are. The hard limit does not change.
 * @returns the limit before
 * @throws OsError EPERM: the process is somebody else's, or the hard limit is lower; ESRCH: it is gone
 */
export function limitDescriptors(pid: number, limit: number): number {
  must(libc.prlimit(pid, RLIMIT_NOFILE, 0n, found.address), 'prlimit');
  const before = Number(found.bytes.readBigUInt64LE(0));
  given.bytes.writeBigUInt64LE(BigInt(limit), 0);
  given.bytes.writeBigUInt64LE(found.bytes.readBigUInt64LE(8), 8);
  must(libc.prlimit(pid, RLIMIT_NOFILE, given.address, 0n), 'prlimit');
  return before;
}
