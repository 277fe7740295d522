import { MappedRegion } from '../os/index.js';
import type { GuestMemory } from '../virtio/index.js';
import type { Region } from '../wire/index.js';
import { PeerError } from './peer-error.js';

const PAGE_SHIFT = 12n;

interface Mapping extends Region {
  mapped: MappedRegion;
}

/**
 * The guest memory of one session: the regions of SET_MEM_TABLE or ADD_MEM_REG, mapped, addressable by the front-end's
 * virtual address (rings) and by guest-physical address (buffers). Writes are logged when a dirty log is set.
 */
export class MemoryTable {
  #mappings: Mapping[] = [];
  #log: MappedRegion | undefined;
  #logSize = 0n;
  /** True while VHOST_F_LOG_ALL is acked. */
  logging = false;

  /** Memory as QEMU's virtual addresses: SET_VRING_ADDR speaks these. */
  readonly byUserAddr: GuestMemory = this.#view((region) => region.userAddr);
  /** Memory as guest-physical addresses: descriptors speak these. */
  readonly byGuestAddr: GuestMemory = this.#view(
    (region) => region.guestAddr,
    (addr, bytes) => this.#wrote(addr, bytes),
  );
  readonly #wrote: (guestAddr: bigint, bytes: Buffer) => void;

  /** @param wrote told of each write to a guest-physical address, once it is done */
  constructor(wrote: (guestAddr: bigint, bytes: Buffer) => void = () => {}) {
    this.#wrote = wrote;
  }

  /** Number of mapped regions. */
  get size(): number {
    return this.#mappings.length;
  }

  /** Maps a region; the fd stays the caller's. @throws OsError when it cannot be mapped as announced. */
  add(region: Region, fd: number): void {
    const mapped = MappedRegion.map(fd, { size: region.size, offset: region.mmapOffset });
    this.#mappings.push({ ...region, mapped });
  }

  /** Unmaps the region with the same guest address, user address and size (REM_MEM_REG). @returns whether it was there. */
  remove(region: Region): boolean {
    const at = this.#mappings.findIndex(
      (m) => m.guestAddr === region.guestAddr && m.userAddr === region.userAddr && m.size === region.size,
    );
    if (at < 0) return false;
    this.#mappings.splice(at, 1)[0]!.mapped.unmap();
    return true;
  }

  /** Sets the dirty log (SET_LOG_BASE), one bit per 4 KiB page; the fd stays the caller's. @throws OsError */
  setLog(fd: number, size: bigint, offset: bigint): void {
    this.#log?.unmap();
    this.#log = MappedRegion.map(fd, { size, offset });
    this.#logSize = size;
  }

  /** Unmaps all regions; the log stays, as SET_MEM_TABLE does not touch it. */
  clear(): void {
    for (const mapping of this.#mappings.splice(0)) mapping.mapped.unmap();
  }

  /** Unmaps everything. */
  close(): void {
    this.clear();
    this.#log?.unmap();
    this.#log = undefined;
  }

  #view(base: (region: Region) => bigint, wrote: (addr: bigint, bytes: Buffer) => void = () => {}): GuestMemory {
    const find = (addr: bigint, length: number) => {
      const mapping = this.#mappings.find((m) => addr >= base(m) && addr + BigInt(length) <= base(m) + m.size);
      if (!mapping)
        throw new PeerError('ERR_UNMAPPED', `no memory region holds ${length} bytes at 0x${addr.toString(16)}`);
      return { mapping, offset: addr - base(mapping) };
    };
    return {
      read: (addr, length) => {
        const { mapping, offset } = find(addr, length);
        return mapping.mapped.read(Number(offset), length);
      },
      write: (addr, bytes) => {
        const { mapping, offset } = find(addr, bytes.length);
        mapping.mapped.write(Number(offset), bytes);
        if (this.logging && this.#log) this.#markDirty(mapping.guestAddr + offset, bytes.length);
        wrote(addr, bytes);
      },
    };
  }

  /** Sets the pages' bits. QEMU only ever clears bits, so a read and a later write can over-report, never lose a page. */
  #markDirty(guestAddr: bigint, length: number): void {
    const last = (guestAddr + BigInt(Math.max(length, 1)) - 1n) >> PAGE_SHIFT;
    for (let page = guestAddr >> PAGE_SHIFT; page <= last; page++) {
      const byte = page / 8n;
      if (byte >= this.#logSize) continue;
      const bits = this.#log!.read(Number(byte), 1)[0]!;
      this.#log!.write(Number(byte), Buffer.of(bits | (1 << Number(page % 8n))));
    }
  }
}
