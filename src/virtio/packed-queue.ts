import type { Chain } from './chain.js';
import { DeviceQueue, type DeviceQueueOptions } from './device-queue.js';
import { walkPackedChain } from './packed-chain.js';
import {
  advance,
  EVENT_FLAGS,
  EVENT_SIZE,
  encodeEvent,
  encodePacked,
  fromHalf,
  isAvailable,
  PACKED_FLAGS,
  PACKED_LENGTH,
  packedBase,
  packedFlags,
  RING_EVENT_FLAGS_DESC,
  RING_EVENT_FLAGS_ENABLE,
  usedBits,
  wantsEvent,
} from './packed-layout.js';
import { DESCRIPTOR_SIZE } from './split-layout.js';
import { VirtioError } from './virtio-error.js';

/** A chain to be handed back. */
interface Used {
  id: number;
  written: number;
  slots: number;
}

/** The same with its place in the ring. */
interface Mark extends Used {
  place: number;
}

/** The device's side of one packed virtqueue (virtio 1.2, 2.8). */
export class PackedQueue extends DeviceQueue {
  readonly layout = 'packed';
  /** Places of the next chain to pop, and of the next one to hand back; see packed-layout. */
  #next: number;
  #used: number;
  /**
   * The ring, read twice in a row: what the first reading has as available was written in full before the second. Used up
   * when the first one has nothing available at `#next`.
   */
  #seen: Buffer | undefined;
  #table: Buffer = Buffer.alloc(0);
  /** Chains pushed and not yet published. */
  #unpublished: Used[] = [];
  /** The used place when needsCall() last answered; undefined = never, and what was signalled before is not known. */
  #signalled: number | undefined;

  /**
   * Goes on from the available half of the base. Who is told a base is stopped, so that the used half is the same; DPDK's
   * vhost_user_set_vring_base does not look at it either.
   * @throws VirtioError on a bad size, alignment or base
   */
  constructor(options: DeviceQueueOptions) {
    super(options);
    const { desc, avail, used, base } = this.q;
    if (desc % 16n !== 0n || avail % 4n !== 0n || used % 4n !== 0n)
      throw new VirtioError(
        'ERR_RING_ALIGNMENT',
        `desc 0x${desc.toString(16)}, events 0x${avail.toString(16)} (avail) and 0x${used.toString(16)} (used)`,
        'aligned to 16, 4 and 4 (virtio 1.2, 2.8)',
      );
    this.#next = this.#placeOf(base);
    this.#used = this.#next;
  }

  get base(): number {
    return packedBase(this.#next, this.#used, this.q.size);
  }

  state() {
    const { used, rings } = this.q;
    return {
      available: this.#isNextAvailable(),
      eventFlags: rings.read(used + BigInt(EVENT_FLAGS), 2).readUInt16LE(),
    };
  }

  pop(): Chain | undefined {
    if (!this.#isInHand() && !this.#fetch()) return undefined;
    const { size, indirect, buffers } = this.q;
    const chain = walkPackedChain(this.#next, { table: this.#table, size, indirect, buffers });
    this.#next = advance(this.#next, chain.slots, size);
    return chain;
  }

  rewind(base: number): void {
    this.#next = this.#placeOf(base);
    this.#seen = undefined;
  }

  push({ head, slots }: Chain, written: number): void {
    this.#unpublished.push({ id: head, written, slots });
  }

  /** The first chain's flags last: a driver looks at chains in turn, so it sees none before that. */
  publish(): void {
    const { size, rings } = this.q;
    const marks = this.#unpublished.map((used) => {
      const place = this.#used;
      this.#used = advance(place, used.slots, size);
      return { ...used, place };
    });
    this.#unpublished = [];
    const [first, ...rest] = marks;
    if (!first) return;
    for (const run of neighbours(rest, size)) rings.write(this.#at(run[0]!.place, PACKED_LENGTH), this.#encode(run));
    const bytes = this.#encode([first]);
    rings.write(this.#at(first.place, PACKED_LENGTH), bytes.subarray(0, PACKED_FLAGS - PACKED_LENGTH));
    rings.write(this.#at(first.place, PACKED_FLAGS), bytes.subarray(PACKED_FLAGS - PACKED_LENGTH));
  }

  needsCall(): boolean {
    const { size, avail, eventIdx, rings } = this.q;
    const old = this.#signalled;
    this.#signalled = this.#used;
    const events = rings.read(avail, EVENT_SIZE);
    // Without knowing what was signalled, everything counts as new.
    const since = old ?? advance(this.#used, size, size);
    return wantsEvent(events, { next: this.#used, old: since, size, eventIdx });
  }

  enableNotify(): boolean {
    const { size, used, eventIdx, rings } = this.q;
    const flags = eventIdx ? RING_EVENT_FLAGS_DESC : RING_EVENT_FLAGS_ENABLE;
    const events = encodeEvent(flags, this.#next, size);
    // The place counts from the moment of the flags on.
    rings.write(used, events.subarray(0, EVENT_FLAGS));
    rings.write(used + BigInt(EVENT_FLAGS), events.subarray(EVENT_FLAGS));
    return !this.#isNextAvailable();
  }

  /** Used descriptors back to back, from the first one's length on; their addresses are of no use (2.8.4). */
  #encode(marks: readonly Mark[]): Buffer {
    const { size } = this.q;
    const descriptors = marks.map(({ place, id, written }) => ({
      addr: 0n,
      length: written,
      id,
      flags: usedBits(place, size),
    }));
    return encodePacked(descriptors).subarray(PACKED_LENGTH);
  }

  /** Address of a byte of the descriptor at a place. */
  #at(place: number, offset: number): bigint {
    return this.q.desc + BigInt(DESCRIPTOR_SIZE * (place % this.q.size) + offset);
  }

  #placeOf(base: number): number {
    const { size } = this.q;
    const place = fromHalf(base & 0xffff, size);
    if (place === undefined)
      throw new VirtioError(
        'ERR_RING_BASE',
        `base 0x${base.toString(16)} of a ring of ${size}`,
        'an index below the size',
      );
    return place;
  }

  #isNextAvailable(): boolean {
    const flags = this.q.rings.read(this.#at(this.#next, PACKED_FLAGS), 2).readUInt16LE();
    return isAvailable(flags, this.#next, this.q.size);
  }

  /** Whether the readings at hand have the next descriptor as available. */
  #isInHand(): boolean {
    const { size } = this.q;
    return this.#seen !== undefined && isAvailable(packedFlags(this.#seen, this.#next % size), this.#next, size);
  }

  #fetch(): boolean {
    const { size, desc, rings } = this.q;
    if (!this.#isNextAvailable()) return false;
    this.#seen = rings.read(desc, DESCRIPTOR_SIZE * size);
    this.#table = rings.read(desc, DESCRIPTOR_SIZE * size);
    return this.#isInHand();
  }
}

/** Splits chains, in order, where the next one does not lie right behind in memory. */
function neighbours(marks: readonly Mark[], size: number): Mark[][] {
  const runs: Mark[][] = [];
  for (const mark of marks) {
    const run = runs.at(-1);
    const last = run?.at(-1);
    if (run && last?.slots === 1 && mark.place % size !== 0) run.push(mark);
    else runs.push([mark]);
  }
  return runs;
}
