import {
  availEventOffset,
  DESC_F_INDIRECT,
  DESC_F_NEXT,
  type Descriptor,
  decodeUsed,
  encodeDescriptors,
  encodeHeads,
  needsKick,
  RING_HEADER_SIZE,
  RING_IDX,
  ringSlices,
  USED_ELEMENT_SIZE,
  type UsedElement,
  usedEventOffset,
  wrap16,
} from '../virtio/index.js';
import { DriverRing, type Piece, pieceFlags } from './driver-ring.js';

/** The driver's side of one split virtqueue. A buffer's descriptors stand in the table for good: only its head is offered. */
export class SplitRing extends DriverRing {
  #availIdx = 0;
  /** Index of the next used element to take, and the device's used index as last looked at. */
  #seen = 0;
  #used = 0;

  async describe(buffers: readonly Piece[][], tables: bigint): Promise<void> {
    const { bus } = this.context;
    const chains = buffers.map((pieces, i) => chain(pieces, this.indirect ? 0 : i * this.slots));
    if (!this.indirect) return bus.writeBytes(this.place.desc, encodeDescriptors(chains.flat()));
    const bytes = chains.map(encodeDescriptors);
    let addr = tables;
    const heads = bytes.map(({ length }) => {
      const head = { addr, length, flags: DESC_F_INDIRECT, next: 0 };
      addr += BigInt(length);
      return head;
    });
    await Promise.all([
      bus.writeBytes(tables, Buffer.concat(bytes)),
      bus.writeBytes(this.place.desc, encodeDescriptors(heads)),
    ]);
  }

  async offer(numbers: readonly number[]): Promise<void> {
    const { bus } = this.context;
    const { avail, size } = this.place;
    const bytes = encodeHeads(numbers.map((number) => number * this.slots));
    const writes = ringSlices(size, this.#availIdx, numbers.length).map(({ slot, from, count }) =>
      bus.writeBytes(avail + BigInt(RING_HEADER_SIZE + 2 * slot), bytes.subarray(2 * from, 2 * (from + count))),
    );
    this.#availIdx = wrap16(this.#availIdx + numbers.length);
    writes.push(bus.writeMem('w', avail + BigInt(RING_IDX), BigInt(this.#availIdx)));
    await Promise.all(writes);
  }

  /** Rules: virtio 1.2, 2.7.13. */
  async publish(numbers: readonly number[]): Promise<void> {
    const old = this.#availIdx;
    const offered = this.offer(numbers);
    const next = this.#availIdx;
    const [device] = await Promise.all([this.#wishes(), offered]);
    if (!this.closed && needsKick(device, next, old)) await this.kick();
  }

  async look(): Promise<boolean> {
    this.#used = Number(await this.context.bus.readMem('w', this.place.used + BigInt(RING_IDX)));
    return this.#used !== this.#seen;
  }

  async take(): Promise<UsedElement[]> {
    const { used, size } = this.place;
    const count = wrap16(this.#used - this.#seen);
    if (count > size) throw this.wrong(`${count} used of ${size}`);
    const slices = ringSlices(size, this.#seen, count);
    this.#seen = this.#used;
    const parts = await Promise.all(
      slices.map((slice) =>
        this.context.bus.readBytes(
          used + BigInt(RING_HEADER_SIZE + USED_ELEMENT_SIZE * slice.slot),
          USED_ELEMENT_SIZE * slice.count,
        ),
      ),
    );
    if (this.closed) return [];
    return parts.flatMap(decodeUsed).map((element) => ({ ...element, head: this.#number(element.head) }));
  }

  async rearm(): Promise<void> {
    const { avail, size } = this.place;
    if (this.context.eventIdx)
      await this.context.bus.writeMem('w', avail + BigInt(usedEventOffset(size)), BigInt(this.#seen));
  }

  #number(head: number): number {
    const number = head / this.slots;
    if (Number.isInteger(number) && number < this.buffers) return number;
    throw this.wrong(`${head} came back, which is no buffer`);
  }

  async #wishes() {
    const { used, size } = this.place;
    const { bus, eventIdx } = this.context;
    return eventIdx
      ? { availEvent: Number(await bus.readMem('w', used + BigInt(availEventOffset(size)))) }
      : { usedFlags: Number(await bus.readMem('w', used)) };
  }
}

/** The descriptors of a buffer, the first of which stands at `index` of its table. */
function chain(pieces: readonly Piece[], index: number): Descriptor[] {
  return pieces.map((piece, i) => ({
    addr: piece.addr,
    length: piece.length,
    flags: pieceFlags(piece) | (i + 1 < pieces.length ? DESC_F_NEXT : 0),
    next: i + 1 < pieces.length ? index + i + 1 : 0,
  }));
}
