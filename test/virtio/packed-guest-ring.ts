import { type DeviceQueueOptions, type GuestMemory, PackedQueue } from '../../src/virtio/index.js';
import { ArrayMemory } from './guest-ring.js';

/** Flags as the specification numbers them (virtio 1.2, 2.8). */
export const NEXT = 1 << 0;
export const WRITE = 1 << 1;
export const INDIRECT = 1 << 2;
const AVAIL = 1 << 7;
const USED = 1 << 15;

/** Event suppression flags. */
export const ENABLE = 0;
export const DISABLE = 1;
export const DESC = 2;

export interface Piece {
  addr: bigint;
  length: number;
  flags: number;
}

/** What the device handed back. */
export interface Back {
  id: number;
  written: number;
}

/** A place in the ring: slot and wrap counter. */
export interface Place {
  index: number;
  wrap: boolean;
}

/**
 * The driver's side of a packed ring, after the wording of the specification: an index and a wrap counter for each side,
 * counted slot by slot. The reference for PackedQueue, sharing nothing with it.
 */
export class PackedDriver {
  /** Next slot to make available, and next one to look for a used descriptor in. */
  avail: Place;
  used: Place;
  /** Slots that each buffer took, by its id. */
  readonly outstanding = new Map<number, number>();
  /** Where the driver's events are, and behind them the device's. */
  readonly events: number;

  /** @param at where the ring begins in the memory */
  constructor(
    readonly size: number,
    readonly memory: GuestMemory,
    readonly at = 0n,
    start: Place = { index: 0, wrap: true },
  ) {
    this.events = 16 * size;
    this.avail = { ...start };
    this.used = { ...start };
    // A ring that goes on at `start` has been used up to there: what lies before belongs to this round, the rest to the last.
    for (let slot = 0; slot < size; slot++) {
      const wrap = slot < start.index ? start.wrap : !start.wrap;
      this.set16(16 * slot + 14, wrap ? AVAIL | USED : 0);
    }
  }

  /** The base that names the place of `avail` for both sides. */
  get base(): number {
    const half = this.avail.index | (this.avail.wrap ? 0x8000 : 0);
    return half * 0x10000 + half;
  }

  /** Slots that no buffer holds. */
  get room(): number {
    return this.size - [...this.outstanding.values()].reduce((sum, slots) => sum + slots, 0);
  }

  /** Makes one buffer available: its descriptors in a row, the first one's flags last. */
  add(id: number, pieces: readonly Piece[]): void {
    const slots = pieces.map(({ addr, length, flags }, i) => {
      const { index, wrap } = this.avail;
      const state = wrap ? AVAIL : USED;
      const next = i + 1 < pieces.length ? NEXT : 0;
      this.avail = this.#after(this.avail);
      this.write(index, { addr, length, id });
      return { index, flags: flags | next | state };
    });
    for (const { index, flags } of slots.toReversed()) this.set16(16 * index + 14, flags);
    this.outstanding.set(id, pieces.length);
  }

  /** Writes a descriptor; without flags these stay. */
  write(index: number, { addr, length, id, flags }: Omit<Piece, 'flags'> & { id: number; flags?: number }) {
    const bytes = Buffer.alloc(14);
    bytes.writeBigUInt64LE(addr);
    bytes.writeUInt32LE(length, 8);
    bytes.writeUInt16LE(id, 12);
    this.memory.write(this.at + BigInt(16 * index), bytes);
    if (flags !== undefined) this.set16(16 * index + 14, flags);
  }

  /** Takes what the device handed back. */
  takeUsed(): Back[] {
    const taken: Back[] = [];
    for (;;) {
      const { index, wrap } = this.used;
      const flags = this.get16(16 * index + 14);
      if (((flags & AVAIL) !== 0) !== wrap || ((flags & USED) !== 0) !== wrap) return taken;
      const id = this.get16(16 * index + 12);
      const slots = this.outstanding.get(id);
      if (slots === undefined) throw new Error(`the device hands ${id} back, which it does not have`);
      this.outstanding.delete(id);
      taken.push({ id, written: this.memory.read(this.at + BigInt(16 * index + 8), 4).readUInt32LE() });
      for (let i = 0; i < slots; i++) this.used = this.#after(this.used);
    }
  }

  /** Asks for an interrupt when the descriptor it looks for next is used. */
  armEvent(): void {
    this.driverEvent(DESC, this.used);
  }

  /** Writes the driver's event suppression. */
  driverEvent(flags: number, { index, wrap } = { index: 0, wrap: true }): void {
    this.set16(this.events, index | (wrap ? 0x8000 : 0));
    this.set16(this.events + 2, flags);
  }

  /** The device's event suppression. */
  get deviceEvent(): { index: number; wrap: boolean; flags: number } {
    const place = this.get16(this.events + 4);
    return { index: place & 0x7fff, wrap: (place & 0x8000) !== 0, flags: this.get16(this.events + 6) };
  }

  get16(offset: number): number {
    return this.memory.read(this.at + BigInt(offset), 2).readUInt16LE();
  }

  set16(offset: number, value: number): void {
    const bytes = Buffer.alloc(2);
    bytes.writeUInt16LE(value);
    this.memory.write(this.at + BigInt(offset), bytes);
  }

  #after({ index, wrap }: Place): Place {
    return index + 1 === this.size ? { index: 0, wrap: !wrap } : { index: index + 1, wrap };
  }
}

/** The same in an ArrayMemory of its own, with queues to be held against it. */
export class PackedGuestRing extends PackedDriver {
  declare readonly memory: ArrayMemory;

  constructor(size: number, start?: Place, extra = 4096) {
    super(size, new ArrayMemory(16 * size + 16 + extra), 0n, start);
  }

  /** First byte behind the ring. */
  get spare(): bigint {
    return BigInt(this.events + 16);
  }

  queue(options: Partial<DeviceQueueOptions> = {}): PackedQueue {
    return new PackedQueue({
      size: this.size,
      desc: 0n,
      avail: BigInt(this.events),
      used: BigInt(this.events + 4),
      base: this.base,
      eventIdx: false,
      rings: this.memory,
      buffers: this.memory,
      ...options,
    });
  }
}
