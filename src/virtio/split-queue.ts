import { type Chain, walkChain } from './chain.js';
import { DeviceQueue, type DeviceQueueOptions } from './device-queue.js';
import {
  AVAIL_F_NO_INTERRUPT,
  availEventOffset,
  DESCRIPTOR_SIZE,
  encodeUsed,
  needsEvent,
  RING_HEADER_SIZE,
  RING_IDX,
  ringSlices,
  USED_ELEMENT_SIZE,
  type UsedElement,
  usedEventOffset,
  wrap16,
} from './split-layout.js';
import { VirtioError } from './virtio-error.js';

/** The device's side of one split virtqueue (virtio 1.2, 2.7). */
export class SplitQueue extends DeviceQueue {
  readonly layout = 'split';
  #nextAvail: number;
  /** Heads that are available and not yet popped, first one at `#popped`, with the descriptor table as of then. */
  #heads: number[] = [];
  #popped = 0;
  #table: Buffer = Buffer.alloc(0);
  /** Elements pushed and not yet published. */
  #unpublished: UsedElement[] = [];
  #usedIdx: number;
  /** The used index when needsCall() last answered; undefined = never, and what was signalled before is not known. */
  #signalled: number | undefined;

  /** Reads the used index to go on from. @throws VirtioError on a bad size or alignment, and what `rings` throws. */
  constructor(options: DeviceQueueOptions) {
    super(options);
    const { desc, avail, used, base } = this.q;
    if (desc % 16n !== 0n || avail % 2n !== 0n || used % 4n !== 0n)
      throw new VirtioError(
        'ERR_RING_ALIGNMENT',
        `desc 0x${desc.toString(16)}, avail 0x${avail.toString(16)}, used 0x${used.toString(16)}`,
        'aligned to 16, 2 and 4 (virtio 1.2, 2.7)',
      );
    this.#nextAvail = wrap16(base);
    this.#usedIdx = this.usedIdx();
  }

  /** The driver's available index, as it stands in memory. */
  availIdx(): number {
    return this.q.rings.read(this.q.avail + BigInt(RING_IDX), 2).readUInt16LE();
  }

  /** The used index, as it stands in memory. */
  usedIdx(): number {
    return this.q.rings.read(this.q.used + BigInt(RING_IDX), 2).readUInt16LE();
  }

  /** The used ring's flags, as they stand in memory. */
  usedFlags(): number {
    return this.q.rings.read(this.q.used, 2).readUInt16LE();
  }

  get base(): number {
    return this.#nextAvail;
  }

  state() {
    return { usedIdx: this.usedIdx(), availIdx: this.availIdx(), usedFlags: this.usedFlags() };
  }

  pop(): Chain | undefined {
    if (this.#popped === this.#heads.length && !this.#fetch()) return undefined;
    const { size, indirect, buffers } = this.q;
    const chain = walkChain(this.#heads[this.#popped]!, { table: this.#table, size, indirect, buffers });
    this.#popped++;
    this.#nextAvail = wrap16(this.#nextAvail + 1);
    return chain;
  }

  rewind(base: number): void {
    this.#nextAvail = wrap16(base);
    this.#heads = [];
    this.#popped = 0;
  }

  push({ head }: Chain, written: number): void {
    this.#unpublished.push({ head, written });
  }

  /** The elements first, then the index. */
  publish(): void {
    const { size, used, rings } = this.q;
    const bytes = encodeUsed(this.#unpublished);
    for (const { slot, from, count } of ringSlices(size, this.#usedIdx, this.#unpublished.length))
      rings.write(
        used + BigInt(RING_HEADER_SIZE + USED_ELEMENT_SIZE * slot),
        bytes.subarray(USED_ELEMENT_SIZE * from, USED_ELEMENT_SIZE * (from + count)),
      );
    this.#usedIdx = wrap16(this.#usedIdx + this.#unpublished.length);
    this.#unpublished = [];
    this.write16(used + BigInt(RING_IDX), this.#usedIdx);
  }

  needsCall(): boolean {
    const { size, avail, eventIdx, rings } = this.q;
    const old = this.#signalled;
    this.#signalled = this.#usedIdx;
    if (!eventIdx) return (rings.read(avail, 2).readUInt16LE() & AVAIL_F_NO_INTERRUPT) === 0;
    const usedEvent = rings.read(avail + BigInt(usedEventOffset(size)), 2).readUInt16LE();
    return old === undefined || needsEvent(usedEvent, this.#usedIdx, old);
  }

  enableNotify(): boolean {
    const { size, used, eventIdx } = this.q;
    if (eventIdx) this.write16(used + BigInt(availEventOffset(size)), this.#nextAvail);
    else this.write16(used, 0);
    return this.availIdx() === this.#nextAvail;
  }

  /** Reads the heads that became available and the descriptor table in as few reads as the ring's wrap allows. */
  #fetch(): boolean {
    const { size, desc, avail, rings } = this.q;
    const count = wrap16(this.availIdx() - this.#nextAvail);
    if (count > size)
      throw new VirtioError(
        'ERR_AVAIL_JUMP',
        `available index is ${count} ahead of ${this.#nextAvail}, the ring has ${size} entries`,
        'the driver overran its ring, or SET_VRING_BASE does not belong to this memory',
      );
    if (count === 0) return false;
    const heads: number[] = [];
    for (const slice of ringSlices(size, this.#nextAvail, count)) {
      const bytes = rings.read(avail + BigInt(RING_HEADER_SIZE + 2 * slice.slot), 2 * slice.count);
      for (let i = 0; i < slice.count; i++) heads.push(bytes.readUInt16LE(2 * i));
    }
    this.#table = rings.read(desc, DESCRIPTOR_SIZE * size);
    this.#heads = heads;
    this.#popped = 0;
    return true;
  }
}
