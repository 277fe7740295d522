const PAGE_SIZE = 4096;
const PAGE_MASK = BigInt(PAGE_SIZE - 1);

/** A page of guest memory with what a peer wrote to it. */
export interface WrittenPage {
  /** Guest-physical. */
  addr: bigint;
  /** What `marker` said of it at the last write. */
  before: number;
  /** What was written last; only where the mask is 1. */
  bytes: Buffer;
  mask: Buffer;
}

/** What the peer wrote into the guest's buffers, over all its sessions, since this began. */
export class WrittenPages {
  readonly #pages = new Map<bigint, WrittenPage>();
  readonly #marker: (addr: bigint) => number;

  /** @param marker called with a page's address before each write to it */
  constructor(marker: (addr: bigint) => number) {
    this.#marker = marker;
  }

  get count(): number {
    return this.#pages.size;
  }

  pages(): Iterable<WrittenPage> {
    return this.#pages.values();
  }

  /** Notes a write. @param guestAddr guest-physical */
  add(guestAddr: bigint, bytes: Buffer): void {
    for (let done = 0; done < bytes.length; ) {
      const at = guestAddr + BigInt(done);
      const addr = at & ~PAGE_MASK;
      const offset = Number(at - addr);
      const length = Math.min(bytes.length - done, PAGE_SIZE - offset);
      const page = this.#pages.get(addr) ?? {
        addr,
        before: 0,
        bytes: Buffer.alloc(PAGE_SIZE),
        mask: Buffer.alloc(PAGE_SIZE),
      };
      this.#pages.set(addr, page);
      page.before = this.#marker(addr);
      bytes.copy(page.bytes, offset, done, done + length);
      page.mask.fill(1, offset, offset + length);
      done += length;
    }
  }
}
