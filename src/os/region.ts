import { fstatSync } from 'node:fs';
import { OsError } from './error.js';
import { type Address, lastError, libc, must, NativeBuffer, type ProcessVm } from './libc.js';

const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const MAP_FAILED = 0xffff_ffff_ffff_ffffn;
const SC_PAGESIZE = 30;
const WORD = 8n;

const pageSize = BigInt(libc.sysconf(SC_PAGESIZE));
/** Everything is copied through here, in pieces if it must be. */
const scratch = new NativeBuffer(65_536);
/** Two iovecs: ours, then the other side's. */
const iovecs = new NativeBuffer(32);
iovecs.bytes.writeBigUInt64LE(scratch.address, 0);
const remoteIovec = iovecs.address + 16n;

/**
 * A part of a file that another process shares with us, mapped: guest memory, a dirty log, an inflight buffer.
 *
 * No view of the memory is ever given out. Bytes are copied by process_vm_readv(2) and process_vm_writev(2) on our own
 * process, which fail with EFAULT where a plain access would kill the tester with SIGBUS (the file was shrunk after it
 * was mapped) or SIGSEGV (it was unmapped).
 *
 * The kernel may copy a few bytes one by one, but moves aligned 8-byte words whole in practice, so reads are widened to
 * words: an index that the other side is just writing is then read as it was before or after, not in between.
 */
export class MappedRegion {
  /** Bytes that can be read and written. */
  readonly size: number;
  readonly #mapping: Address;
  readonly #mappedLength: bigint;
  readonly #base: Address;
  #mapped = true;

  private constructor(mapping: Address, mappedLength: bigint, delta: bigint, size: number) {
    this.#mapping = mapping;
    this.#mappedLength = mappedLength;
    this.#base = mapping + delta;
    this.size = size;
  }

  /**
   * Maps `size` bytes from `offset` of the file, shared. Neither has to be aligned. The descriptor stays the caller's
   * and may be closed.
   *
   * @throws OsError ENXIO: the file ends before the region does; EINVAL: a size of 0 or beyond 2^53; EACCES, ENODEV,
   * ...: not such a file.
   */
  static map(fd: number, { size, offset = 0n }: { size: number | bigint; offset?: bigint }): MappedRegion {
    const length = BigInt(size);
    if (length <= 0n || offset < 0n || offset + length > BigInt(Number.MAX_SAFE_INTEGER)) {
      throw new OsError('EINVAL', 'mmap', `impossible region: ${length} bytes at ${offset}`);
    }
    const file = statOf(fd);
    if (file.size < offset + length) {
      throw new OsError('ENXIO', 'mmap', `the region ends at ${offset + length}, the file at ${file.size}`);
    }
    // hugetlbfs wants offset and length in multiples of its page, which it gives as block size.
    const unit = file.blksize > pageSize && file.blksize % pageSize === 0n ? file.blksize : pageSize;
    const delta = offset % unit;
    const mappedLength = ((delta + length + unit - 1n) / unit) * unit;
    const mapping = BigInt(libc.mmap(0n, mappedLength, PROT_READ_WRITE, MAP_SHARED, fd, offset - delta));
    if (mapping === MAP_FAILED) throw new OsError(lastError(), 'mmap');
    return new MappedRegion(mapping, mappedLength, delta, Number(length));
  }

  /** A copy of `length` bytes from `offset` of the region. @throws OsError see `write` */
  read(offset: number, length: number): Buffer {
    this.#check(offset, length, 'process_vm_readv');
    const bytes = Buffer.allocUnsafe(length);
    // From the word before on; it is in the mapping too, as is the one behind, for that consists of whole pages.
    const lead = Number((this.#base + BigInt(offset)) % WORD);
    for (let done = 0; done < length; ) {
      const skip = done === 0 ? lead : 0;
      const wanted = Math.min(length - done, scratch.bytes.length - skip);
      const words = Math.ceil((skip + wanted) / Number(WORD)) * Number(WORD);
      transfer(libc.processVmReadv, 'process_vm_readv', this.#base + BigInt(offset + done - skip), words);
      scratch.bytes.copy(bytes, done, skip, skip + wanted);
      done += wanted;
    }
    return bytes;
  }

  /**
   * Copies `bytes` to `offset` of the region.
   *
   * @throws OsError ERANGE: outside of the region; EFAULT: the memory is gone, the file was shrunk or the region
   * unmapped; EPERM, ENOSYS: this container forbids the call.
   */
  write(offset: number, bytes: Buffer): void {
    this.#check(offset, bytes.length, 'process_vm_writev');
    for (let done = 0; done < bytes.length; ) {
      const length = bytes.copy(scratch.bytes, 0, done);
      transfer(libc.processVmWritev, 'process_vm_writev', this.#base + BigInt(offset + done), length);
      done += length;
    }
  }

  /** A little-endian 16-bit value. @throws OsError see `write` */
  readU16(offset: number): number {
    return this.read(offset, 2).readUInt16LE(0);
  }

  /** Writes a little-endian 16-bit value. @throws OsError see `write` */
  writeU16(offset: number, value: number): void {
    const bytes = Buffer.alloc(2);
    bytes.writeUInt16LE(value);
    this.write(offset, bytes);
  }

  /** Gives the memory back at once; idempotent. */
  unmap(): void {
    if (!this.#mapped) return;
    this.#mapped = false;
    must(libc.munmap(this.#mapping, this.#mappedLength), 'munmap');
  }

  #check(offset: number, length: number, call: string): void {
    if (!this.#mapped) throw new OsError('EFAULT', call, 'the region is unmapped');
    if (!(offset >= 0 && length >= 0 && offset + length <= this.size)) {
      throw new OsError('ERANGE', call, `${length} bytes at ${offset} of a region of ${this.size}`);
    }
  }
}

/** Copies `length` bytes between `scratch` and `remote`. */
function transfer(call: ProcessVm, name: string, remote: Address, length: number): void {
  iovecs.bytes.writeBigUInt64LE(BigInt(length), 8);
  iovecs.bytes.writeBigUInt64LE(remote, 16);
  iovecs.bytes.writeBigUInt64LE(BigInt(length), 24);
  const moved = call(process.pid, iovecs.address, 1, remoteIovec, 1, 0);
  if (moved === length) return;
  // A short count: the first pages were there, a later one was not.
  const code = moved < 0 ? lastError() : 'EFAULT';
  throw new OsError(code, name, hintFor(code));
}

function hintFor(code: string): string | undefined {
  switch (code) {
    case 'EFAULT':
      return 'the memory is gone: its file was shrunk';
    case 'EPERM':
    case 'ENOSYS':
      return 'allow this call in the container, e.g. docker run --security-opt seccomp=unconfined';
    default:
      return undefined;
  }
}

function statOf(fd: number): { size: bigint; blksize: bigint } {
  try {
    return fstatSync(fd, { bigint: true });
  } catch (error) {
    throw new OsError((error as NodeJS.ErrnoException).code ?? 'EIO', 'fstat');
  }
}
