import type { Recorder } from '../timeline/index.js';
import {
  availEventOffset,
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
import type { RingPlace } from './arena.js';
import { DriverError } from './driver-error.js';
import type { GuestBus } from './guest-bus.js';
import type { Transport } from './transport.js';

/** What rings of one device share. */
export interface RingContext {
  bus: GuestBus;
  transport: Transport;
  recorder: Recorder;
  /** VIRTIO_RING_F_EVENT_IDX was accepted. */
  eventIdx: boolean;
  /** VIRTIO_NET_F_MRG_RXBUF was accepted. */
  mergeable: boolean;
}

/**
 * The driver's side of one split virtqueue in memory behind the bus, zeroed before. After close() it touches the bus no
 * more, whatever was still under way: the memory may belong to the next life of the device.
 */
export class DriverRing {
  readonly place: RingPlace;
  readonly #context: RingContext;
  #availIdx = 0;
  #seen = 0;
  #closed = false;

  constructor(place: RingPlace, context: RingContext) {
    this.place = place;
    this.#context = context;
  }

  get closed(): boolean {
    return this.#closed;
  }

  close(): void {
    this.#closed = true;
  }

  /** The available index: its value modulo the size is the next entry to be filled. */
  get availIdx(): number {
    return this.#availIdx;
  }

  /** Index of the next used element to take. */
  get seen(): number {
    return this.#seen;
  }

  /** Writes the descriptor table from its start. */
  describe(descriptors: readonly Descriptor[]): Promise<void> {
    return this.#context.bus.writeBytes(this.place.desc, encodeDescriptors(descriptors));
  }

  /** Makes chains available, without telling the device. */
  async offer(heads: readonly number[]): Promise<void> {
    const { bus } = this.#context;
    const { avail, size } = this.place;
    const bytes = encodeHeads(heads);
    const writes = ringSlices(size, this.#availIdx, heads.length).map(({ slot, from, count }) =>
      bus.writeBytes(avail + BigInt(RING_HEADER_SIZE + 2 * slot), bytes.subarray(2 * from, 2 * (from + count))),
    );
    this.#availIdx = wrap16(this.#availIdx + heads.length);
    writes.push(bus.writeMem('w', avail + BigInt(RING_IDX), BigInt(this.#availIdx)));
    await Promise.all(writes);
  }

  /** Makes chains available and notifies the device if it wants to know (virtio 1.2, 2.7.13). */
  async publish(heads: readonly number[]): Promise<void> {
    const old = this.#availIdx;
    const offered = this.offer(heads);
    const next = this.#availIdx;
    const [device] = await Promise.all([this.#wishes(), offered]);
    if (!this.#closed && needsKick(device, next, old)) await this.kick();
  }

  /** Notifies the device. */
  kick(): Promise<void> {
    this.#context.recorder.record({ type: 'driver.kick', ring: this.place.index });
    return this.#context.transport.notify(this.place.index);
  }

  /** The device's used index. */
  async usedIdx(): Promise<number> {
    return Number(await this.#context.bus.readMem('w', this.place.used + BigInt(RING_IDX)));
  }

  /** Reads the used elements up to `usedIdx` and counts them as seen. @throws DriverError when they cannot be that many */
  async take(usedIdx: number): Promise<UsedElement[]> {
    const { used, size, index } = this.place;
    const count = wrap16(usedIdx - this.#seen);
    if (count > size) throw new DriverError('ERR_RING', `ring ${index}: ${count} used of ${size}`, RING_HINT);
    const slices = ringSlices(size, this.#seen, count);
    this.#seen = usedIdx;
    const parts = await Promise.all(
      slices.map((slice) =>
        this.#context.bus.readBytes(
          used + BigInt(RING_HEADER_SIZE + USED_ELEMENT_SIZE * slice.slot),
          USED_ELEMENT_SIZE * slice.count,
        ),
      ),
    );
    return parts.flatMap(decodeUsed);
  }

  /** Asks for an interrupt at the next used element. The caller looks at usedIdx() once more afterwards. */
  async rearm(): Promise<void> {
    const { avail, size } = this.place;
    if (this.#context.eventIdx)
      await this.#context.bus.writeMem('w', avail + BigInt(usedEventOffset(size)), BigInt(this.#seen));
  }

  async #wishes() {
    const { used, size } = this.place;
    const { bus, eventIdx } = this.#context;
    return eventIdx
      ? { availEvent: Number(await bus.readMem('w', used + BigInt(availEventOffset(size)))) }
      : { usedFlags: Number(await bus.readMem('w', used)) };
  }
}

/** Where to look when a used ring makes no sense. */
export const RING_HINT =
  'whoever serves the ring, the peer or QEMU, wrote elements that the driver never made available';
