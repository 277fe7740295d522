import { type Recorder, toRanges } from '../timeline/index.js';
import { buildPacket, PACKET_LENGTH, ringSlices, virtioNetHeader } from '../virtio/index.js';
import type { DriverRing } from './driver-ring.js';
import { type FrameShape, framePieces, HEADER_LENGTH } from './frame.js';
import type { GuestBus } from './guest-bus.js';
import { Waiters } from './waiters.js';

/** A buffer holds exactly one packet with its header, so that neighbours are written at once. */
export const TX_BUFFER_SIZE = HEADER_LENGTH + PACKET_LENGTH;

/** One pair's transmit queue. Buffers are used in turn, so a burst is one or two writes of neighbours. */
export class TxQueue {
  readonly ring: DriverRing;
  readonly #pair: number;
  readonly #bus: GuestBus;
  readonly #recorder: Recorder;
  readonly #buffers: bigint;
  /** Sequence numbers of what the device has, by buffer. */
  readonly #inFlight: (number | undefined)[];
  readonly #room = new Waiters();
  /** The buffer to fill next. */
  #next = 0;
  #completed = 0;

  /** @param buffers guest address of as many buffers as the ring holds */
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
    this.#inFlight = Array.from({ length: ring.buffers });
  }

  /** Packets that came back as used. */
  get completed(): number {
    return this.#completed;
  }

  /** Describes all buffers once and for all; for before DRIVER_OK. */
  fill(frame: FrameShape, tables: bigint): Promise<void> {
    const buffers = Array.from({ length: this.ring.buffers }, (_, number) =>
      framePieces(frame, { addr: this.#buffer(number), length: TX_BUFFER_SIZE, writable: false }),
    );
    return this.ring.describe(buffers, tables);
  }

  /**
   * Sends `count` packets with the numbers from `first` on; waits for room where the ring is full. Resolves when all are on
   * the ring and the device knows.
   */
  async send(first: number, count: number): Promise<void> {
    for (let sent = 0; sent < count; ) {
      const batch = this.ring.closed ? 0 : Math.min(count - sent, this.free);
      if (batch === 0) await this.#room.wait();
      else await this.#put(first + sent, batch);
      sent += batch;
    }
  }

  /** Takes what the device handed back and records it. @throws DriverError */
  async collect(): Promise<void> {
    const elements = await this.ring.take();
    if (this.ring.closed) return;
    const seqs = elements.map(({ head }) => {
      const seq = this.#inFlight[head];
      if (seq === undefined) throw this.ring.wrong(`${head} came back unsent`);
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

  /** How many buffers from the next one on are free. */
  get free(): number {
    const { buffers } = this.ring;
    let free = 0;
    while (free < buffers && this.#inFlight[(this.#next + free) % buffers] === undefined) free++;
    return free;
  }

  #buffer(number: number): bigint {
    return this.#buffers + BigInt(TX_BUFFER_SIZE * number);
  }

  async #put(first: number, count: number): Promise<void> {
    const { buffers } = this.ring;
    const start = this.#next;
    const numbers = Array.from({ length: count }, (_, i) => (start + i) % buffers);
    this.#next = (start + count) % buffers;
    const header = virtioNetHeader(HEADER_LENGTH);
    const bytes = Buffer.concat(
      numbers.flatMap((number, i) => {
        this.#inFlight[number] = first + i;
        return [header, buildPacket({ dir: 'tx', pair: this.#pair, seq: first + i })];
      }),
    );
    const writes = ringSlices(buffers, start, count).map(({ slot, from, count: run }) =>
      this.#bus.writeBytes(this.#buffer(slot), bytes.subarray(TX_BUFFER_SIZE * from, TX_BUFFER_SIZE * (from + run))),
    );
    // Recorded before it takes effect: the device may see the packets before this end knows that they are written.
    this.#recorder.record({ type: 'packets.sent', dir: 'tx', pair: this.#pair, seqs: [[first, first + count - 1]] });
    await Promise.all([...writes, this.ring.publish(numbers)]);
  }
}
