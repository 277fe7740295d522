import {
  advance,
  availableBits,
  DESC_F_INDIRECT,
  DESC_F_NEXT,
  DESCRIPTOR_SIZE,
  decodePacked,
  EVENT_SIZE,
  encodeEvent,
  encodePacked,
  isUsed,
  PACKED_FLAGS,
  type PackedDescriptor,
  packedFlags,
  RING_EVENT_FLAGS_DESC,
  ringSlices,
  type UsedElement,
  usedBits,
  wantsEvent,
} from '../virtio/index.js';
import { DriverRing, type Piece, pieceFlags } from './driver-ring.js';

/** The driver's side of one packed virtqueue (virtio 1.2, 2.8). A buffer's id is its number. */
export class PackedRing extends DriverRing {
  /** Places of the next descriptor to make available, and of the next one that the device marks used. */
  #next = 0;
  #seen = 0;
  /** What to write into the ring for each buffer. */
  #chains: PackedDescriptor[][] = [];
  /** Buffers that the device has. */
  readonly #offered = new Set<number>();

  async describe(buffers: readonly Piece[][], tables: bigint): Promise<void> {
    const chains = buffers.map((pieces, id) => chain(pieces, id));
    if (!this.indirect) {
      this.#chains = chains;
      return;
    }
    // In a table entries follow each other as they stand: there is no NEXT (2.8.7).
    const bytes = chains.map((entries) =>
      encodePacked(entries.map((entry) => ({ ...entry, id: 0, flags: entry.flags & ~DESC_F_NEXT }))),
    );
    let addr = tables;
    this.#chains = bytes.map(({ length }, id) => {
      const head = { addr, length, id, flags: DESC_F_INDIRECT };
      addr += BigInt(length);
      return [head];
    });
    await this.context.bus.writeBytes(tables, Buffer.concat(bytes));
  }

  /** The flags of the first descriptor last: until then the device sees none (2.8.21.1). */
  async offer(numbers: readonly number[]): Promise<void> {
    const { bus } = this.context;
    const { desc, size } = this.place;
    const first = this.#next;
    const descriptors = numbers
      .flatMap((number) => this.#chains[number]!)
      .map((descriptor, i) => ({
        ...descriptor,
        flags: descriptor.flags | availableBits(advance(first, i, size), size),
      }));
    const [head] = descriptors;
    if (!head) return;
    for (const number of numbers) this.#offered.add(number);
    this.#next = advance(first, descriptors.length, size);
    const bytes = encodePacked(descriptors);
    bytes.writeUInt16LE(usedBits(advance(first, size, size), size), PACKED_FLAGS);
    const writes = ringSlices(size, first % size, descriptors.length).map(({ slot, from, count }) =>
      bus.writeBytes(
        desc + BigInt(DESCRIPTOR_SIZE * slot),
        bytes.subarray(DESCRIPTOR_SIZE * from, DESCRIPTOR_SIZE * (from + count)),
      ),
    );
    writes.push(bus.writeMem('w', this.#flagsAt(first), BigInt(head.flags)));
    await Promise.all(writes);
  }

  /** Rules: virtio 1.2, 2.8.10. */
  async publish(numbers: readonly number[]): Promise<void> {
    const { eventIdx, bus } = this.context;
    const { size, used } = this.place;
    const old = this.#next;
    const offered = this.offer(numbers);
    const next = this.#next;
    const [wishes] = await Promise.all([bus.readBytes(used, EVENT_SIZE), offered]);
    if (!this.closed && next !== old && wantsEvent(wishes, { next, old, size, eventIdx })) await this.kick();
  }

  async look(): Promise<boolean> {
    const flags = Number(await this.context.bus.readMem('w', this.#flagsAt(this.#seen)));
    return isUsed(flags, this.#seen, this.place.size);
  }

  /** The ring is read twice: what the first reading has as used was written in full before the second. */
  async take(): Promise<UsedElement[]> {
    const { desc, size } = this.place;
    const read = () => this.context.bus.readBytes(desc, DESCRIPTOR_SIZE * size);
    const [flags, ring] = await Promise.all([read(), read()]);
    if (this.closed) return [];
    const elements: UsedElement[] = [];
    while (isUsed(packedFlags(flags, this.#seen % size), this.#seen, size)) {
      const { id, length } = decodePacked(ring, this.#seen % size);
      if (!this.#offered.delete(id)) throw this.wrong(`${id} came back unsent`);
      elements.push({ head: id, written: length });
      this.#seen = advance(this.#seen, this.slots, size);
    }
    return elements;
  }

  async rearm(): Promise<void> {
    const { avail, size } = this.place;
    if (!this.context.eventIdx) return;
    const bytes = encodeEvent(RING_EVENT_FLAGS_DESC, this.#seen, size);
    await this.context.bus.writeMem('l', avail, BigInt(bytes.readUInt32LE()));
  }

  #flagsAt(place: number): bigint {
    return this.place.desc + BigInt(DESCRIPTOR_SIZE * (place % this.place.size) + PACKED_FLAGS);
  }
}

/** The descriptors of a buffer, without what tells that they are available. */
function chain(pieces: readonly Piece[], id: number): PackedDescriptor[] {
  return pieces.map((piece, i) => ({
    addr: piece.addr,
    length: piece.length,
    id,
    flags: pieceFlags(piece) | (i + 1 < pieces.length ? DESC_F_NEXT : 0),
  }));
}
