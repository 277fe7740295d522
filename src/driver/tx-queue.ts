import { type Recorder, toRanges } from '../timeline/index.js';
import { buildPacket, PACKET_LENGTH, ringSlices, virtioNetHeader } from '../virtio/index.js';
import { DriverError } from './driver-error.js';
import { type DriverRing, RING_HINT } from './driver-ring.js';
import type { GuestBus } from './guest-bus.js';
import { HEADER_LENGTH } from './rx-queue.js';
import { Waiters } from './waiters.js';

/** A buffer holds exactly one packet with its header, so that neighbours are written at once. */
export const TX_BUFFER_SIZE = HEADER_LENGTH + PACKET_LENGTH;

/**
 * One pair's transmit queue. Entry, descriptor and buffer go by the same number, and entries are used in turn, so a burst
 * is one or two writes of neighbouring buffers.
 */
export class TxQueue {
  readonly ring: DriverRing;
  readonly #pair: number;
  readonly #bus: GuestBus;
  readonly #recorder: Recorder;
  readonly #buffers: bigint;
  /** Sequence numbers of what the device has, by entry. */
  readonly #inFlight: (number | undefined)[];
  readonly #room = new Waiters();
  #completed = 0;

  /** @param buffers guest address of as many buffers as the ring has entries */
  constructor(
    ring: DriverRing,
    pair: number,
    buffers: bigint,
    { bus, recorder }: { bus: GuestBus; recorder: Recorder },
  ) {
    this.ring = ring;
    this.#pair = pair;
    this.#buffers = buffers;
    this.#bus = bus;
    this.#recorder = recorder;
    this.#inFlight = Array.from({ length: ring.place.size });
  }

  /** Packets that came back as used. */
  get completed(): number {
    return this.#completed;
  }

  /** Describes all buffers once and for all; for before DRIVER_OK. */
  fill(): Promise<void> {
    const { size } = this.ring.place;
    return this.ring.describe(
      Array.from({ length: size }, (_, slot) => ({
        addr: this.#buffers + BigInt(TX_BUFFER_SIZE * slot),
        length: TX_BUFFER_SIZE,
        flags: 0,
        next: 0,
      })),
    );
  }

  /**
   * Sends `count` packets with the numbers from `first` on; waits for room where the ring is full. Resolves when all are on
   * the ring and the device knows.
   */
  async send(first: number, count: number): Promise<void> {
    for (let sent = 0; sent < count; ) {
      const batch = Math.min(count - sent, this.#free());
      if (batch === 0) await this.#room.wait();
      else await this.#put(first + sent, batch);
      sent += batch;
    }
  }

  /** Takes what the device handed back up to `usedIdx` and records it. @throws DriverError */
  async collect(usedIdx: number): Promise<void> {
    const elements = await this.ring.take(usedIdx);
    if (this.ring.closed) return;
    const seqs = elements.map(({ head }) => {
      const seq = this.#inFlight[head];
      if (seq === undefined)
        throw new DriverError('ERR_RING', `pair ${this.#pair}: ${head} came back unsent`, RING_HINT);
      this.#inFlight[head] = undefined;
      return seq;
    });
    this.#completed += seqs.length;
    this.#recorder.record({ type: 'packets.completed', dir: 'tx', pair: this.#pair, seqs: toRanges(seqs) });
    this.#room.wake();
    await this.ring.rearm();
  }

  /** Ends the wait of senders. */
  fail(error: Error): void {
    this.#room.fail(error);
  }

  /** How many entries from the next one on are free. */
  #free(): number {
    const { size } = this.ring.place;
    let free = 0;
    while (free < size && this.#inFlight[(this.ring.availIdx + free) % size] === undefined) free++;
    return free;
  }

  async #put(first: number, count: number): Promise<void> {
    const { size } = this.ring.place;
    const slots = Array.from({ length: count }, (_, i) => (this.ring.availIdx + i) % size);
    const header = virtioNetHeader(HEADER_LENGTH);
    const bytes = Buffer.concat(
      slots.flatMap((slot, i) => {
        this.#inFlight[slot] = first + i;
        return [header, buildPacket({ dir: 'tx', pair: this.#pair, seq: first + i })];
      }),
    );
    const writes = ringSlices(size, this.ring.availIdx, count).map((slice) =>
      this.#bus.writeBytes(
        this.#buffers + BigInt(TX_BUFFER_SIZE * slice.slot),
        bytes.subarray(TX_BUFFER_SIZE * slice.from, TX_BUFFER_SIZE * (slice.from + slice.count)),
      ),
    );
    // Recorded before it takes effect: the device may see the packets before this end knows that they are written.
    this.#recorder.record({ type: 'packets.sent', dir: 'tx', pair: this.#pair, seqs: [[first, first + count - 1]] });
    await Promise.all([...writes, this.ring.publish(slots)]);
  }
}
