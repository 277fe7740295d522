/**
 * Synchronous access to guest memory in one address space. Both methods throw their owner's error when any byte of the
 * range is not there. A call costs a system call, so users read and write whole slices.
 */
export interface GuestMemory {
  read(addr: bigint, length: number): Buffer;
  write(addr: bigint, bytes: Buffer): void;
}
