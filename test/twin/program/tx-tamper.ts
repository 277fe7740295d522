import type { Ram } from './ram.js';
import type { Virtqueue } from './virtqueue.js';

/** Changes outgoing frames in place: those that became available together, after `count` others, the last of which was `last`. */
export type Tamper = (frames: Buffer[], before: { count: number; last: Buffer | undefined }) => void;

/** Shows a fault the frames that the guest makes available, after the guest wrote them and before the back-end is told. */
export class TxTamper {
  readonly #ram: Ram;
  readonly #tamper: Tamper;

  constructor(ram: Ram, tamper: Tamper) {
    this.#ram = ram;
    this.#tamper = tamper;
  }

  /** Looks at what became available since the last look; at first since the back-end got the ring. */
  look(queue: Virtqueue): void {
    const before = queue.shown ?? { base: queue.base, count: 0, last: undefined };
    const ring = queue.open(this.#ram, before.base);
    const chains = ring.popAll();
    const originals = chains.map((chain) => ring.readOut(chain));
    const frames = originals.map((frame) => Buffer.from(frame));
    this.#tamper(frames, before);
    for (const [i, chain] of chains.entries()) {
      let at = 0;
      for (const { addr, length } of chain.out) {
        if (!frames[i]!.equals(originals[i]!)) this.#ram.write(addr, frames[i]!.subarray(at, at + length));
        at += length;
      }
    }
    queue.shown = {
      base: ring.base,
      count: before.count + chains.length,
      last: originals.at(-1) ?? before.last,
    };
  }
}
