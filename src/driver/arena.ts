import { splitLayout } from '../virtio/index.js';
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

/** Guest RAM that the driver uses, handed out from the bottom in whole pages. */
export class Arena {
  readonly base = BASE;
  readonly #end: bigint;
  #next = BASE;

  /** @param memory guest RAM in bytes */
  constructor(memory: number) {
    this.#end = BigInt(memory);
  }

  /** Bytes handed out so far. */
  get used(): number {
    return Number(this.#next - BASE);
  }

  /** @throws DriverError ERR_MEMORY when RAM ends. */
  take(length: number): bigint {
    const addr = this.#next;
    this.#next += ((BigInt(length) + PAGE - 1n) / PAGE) * PAGE;
    if (this.#next > this.#end)
      throw new DriverError(
        'ERR_MEMORY',
        `rings and buffers need ${this.#next} bytes of guest RAM, there are ${this.#end}`,
        'more memory, or fewer queue pairs',
      );
    return addr;
  }

  /** Places a split ring. */
  ring(index: number, size: number): RingPlace {
    const { desc, avail, used, length } = splitLayout(size);
    const addr = this.take(length);
    return { index, size, desc: addr + BigInt(desc), avail: addr + BigInt(avail), used: addr + BigInt(used) };
  }
}
