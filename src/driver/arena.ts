import { packedLayout, type RingLayout, splitLayout } from '../virtio/index.js';
import { DriverError } from './driver-error.js';
import type { RingAddresses } from './transport.js';

/** Above the first MiB, where RAM has no holes on any machine. */
const BASE = 0x100000n;
const PAGE = 4096n;

/** A ring and its place in guest memory. */
export interface RingPlace extends RingAddresses {
  index: number;
  size: number;
}

/**
 * Guest RAM that the driver uses in one life of the device, handed out from the bottom in whole pages. Lives take turns in
 * two halves: a guest that loads its driver anew finds its rings elsewhere, and what is stale shows.
 */
export class Arena {
  readonly base: bigint;
  readonly #end: bigint;
  #next: bigint;

  /**
   * @param memory guest RAM in bytes
   * @param life how many lives of the device were before
   */
  constructor(memory: number, life: number) {
    const middle = ((BASE + BigInt(memory)) / 2n / PAGE) * PAGE;
    const upper = life % 2 === 1;
    this.base = upper ? middle : BASE;
    this.#end = upper ? BigInt(memory) : middle;
    this.#next = this.base;
  }

  /** Bytes handed out so far. */
  get used(): number {
    return Number(this.#next - this.base);
  }

  /** @throws DriverError ERR_MEMORY when RAM ends. */
  take(length: number): bigint {
    const addr = this.#next;
    this.#next += ((BigInt(length) + PAGE - 1n) / PAGE) * PAGE;
    if (this.#next > this.#end)
      throw new DriverError(
        'ERR_MEMORY',
        `rings and buffers reach to ${this.#next}, guest RAM for them to ${this.#end}`,
        'more memory, or fewer queue pairs',
      );
    return addr;
  }

  /** Places a ring. */
  ring(index: number, size: number, layout: RingLayout): RingPlace {
    const { desc, avail, used, length } = layout === 'packed' ? packedLayout(size) : splitLayout(size);
    const addr = this.take(length);
    return { index, size, desc: addr + BigInt(desc), avail: addr + BigInt(avail), used: addr + BigInt(used) };
  }
}
