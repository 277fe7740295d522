import type { Ram } from './ram.js';
import type { Virtqueue } from './virtqueue.js';

/** Changes one outgoing frame in place. `previous`: the frame before it; `nth` counts the frames of a ring from 0. */
export type Tamper = (frame: Buffer, previous: Buffer | undefined, nth: number) => void;

/** Shows a fault each frame that the guest makes available, after the guest wrote it and before the back-end is told. */
export class TxTamper {
  readonly #ram: Ram;
  readonly #tamper: Tamper;
  readonly #seen = new Map<number, { next: number; count: number; previous: Buffer | undefined }>();

  constructor(ram: Ram, tamper: Tamper) {
    this.#ram = ram;
    this.#tamper = tamper;
  }

  /** Looks at what became available since the last look, from the used index on at first. */
  look(queue: Virtqueue): void {
    const seen = this.#seen.get(queue.index) ?? { next: queue.usedIdx(this.#ram), count: 0, previous: undefined };
    this.#seen.set(queue.index, seen);
    const ring = queue.open(this.#ram, seen.next);
    for (const chain of ring.popAll()) {
      const original = ring.readOut(chain);
      const frame = Buffer.from(original);
      this.#tamper(frame, seen.previous, seen.count++);
      let at = 0;
      for (const { addr, length } of chain.out) {
        if (!frame.equals(original)) this.#ram.write(addr, frame.subarray(at, at + length));
        at += length;
      }
      seen.previous = original;
    }
    seen.next = ring.nextAvail;
  }
}
