import { readSync, writeSync } from 'node:fs';
import { memfd } from '../../../src/os/index.js';
import type { GuestMemory } from '../../../src/virtio/index.js';
import type { Region } from '../../../src/wire/index.js';

/** Where guest memory would lie in QEMU's address space: only the back-end ever resolves such an address. */
const USER_BASE = 0x7f00_0000_0000n;

/** A PC hides RAM below 1 MiB behind its ROMs, and QEMU leaves it out of the memory table. */
const ROM_BEGIN = 0xf_0000n;
const ROM_END = 0x10_0000n;

const PAGE_SHIFT = 12;

/** Guest RAM: a memory file that the back-end maps. Plain reads and writes of the file are coherent with its mapping. */
export class Ram implements GuestMemory {
  readonly fd: number;
  readonly size: bigint;
  /** Numbers of the pages that were written here since it was set: not those that a back-end wrote. */
  dirty: Set<number> | undefined;

  constructor(size: number) {
    this.size = BigInt(size);
    this.fd = memfd('ram', size);
  }

  /** Reads guest-physical memory; what is not RAM reads as 0, as QEMU's unassigned memory does. */
  read(addr: bigint, length: number): Buffer {
    const bytes = Buffer.alloc(length);
    if (this.#inside(addr, length)) readSync(this.fd, bytes, 0, length, Number(addr));
    return bytes;
  }

  /** Writes guest-physical memory; writes elsewhere are lost. */
  write(addr: bigint, bytes: Buffer): void {
    if (!this.#inside(addr, bytes.length)) return;
    writeSync(this.fd, bytes, 0, bytes.length, Number(addr));
    const last = (Number(addr) + Math.max(bytes.length, 1) - 1) >> PAGE_SHIFT;
    for (let page = Number(addr) >> PAGE_SHIFT; page <= last; page++) this.dirty?.add(page);
  }

  /** The memory table: what vhost-user sends with SET_MEM_TABLE, one fd a region. */
  get regions(): Region[] {
    return [
      { begin: 0n, end: ROM_BEGIN },
      { begin: ROM_END, end: this.size },
    ].map(({ begin, end }) => ({
      guestAddr: begin,
      size: end - begin,
      userAddr: this.userAddr(begin),
      mmapOffset: begin,
    }));
  }

  /** The address that SET_VRING_ADDR would carry for a guest-physical address. */
  userAddr(guestAddr: bigint): bigint {
    return USER_BASE + guestAddr;
  }

  #inside(addr: bigint, length: number): boolean {
    return addr >= 0n && addr + BigInt(length) <= this.size;
  }
}
