import { type Recorder, toRanges } from '../timeline/index.js';
import { DESC_F_WRITE, parsePacket } from '../virtio/index.js';
import { DriverError } from './driver-error.js';
import { type DriverRing, RING_HINT } from './driver-ring.js';
import type { GuestBus } from './guest-bus.js';

/** Holds any frame that is not merged from several buffers, like Linux' small receive buffers. */
export const RX_BUFFER_SIZE = 2048;
/** Length of the virtio-net header with VERSION_1 (virtio 1.2, 5.1.6.1). */
export const HEADER_LENGTH = 12;

/** One pair's receive queue: every entry always holds a buffer, or a packet that is being looked at. */
export class RxQueue {
  readonly ring: DriverRing;
  readonly #pair: number;
  readonly #bus: GuestBus;
  readonly #recorder: Recorder;
  readonly #buffers: bigint;
  #received = 0;

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
  }

  /** Packets received intact. */
  get received(): number {
    return this.#received;
  }

  /** Offers all buffers; for before DRIVER_OK. */
  async fill(): Promise<void> {
    const heads = Array.from({ length: this.ring.place.size }, (_, head) => head);
    const descriptors = heads.map((head) => ({
      addr: this.#buffer(head),
      length: RX_BUFFER_SIZE,
      flags: DESC_F_WRITE,
      next: 0,
    }));
    await Promise.all([this.ring.describe(descriptors), this.ring.offer(heads)]);
  }

  /** Takes the packets up to `usedIdx`, records them and offers their buffers again. @throws DriverError */
  async collect(usedIdx: number): Promise<void> {
    const elements = await this.ring.take(usedIdx);
    if (this.ring.closed) return;
    for (const { head, written } of elements)
      if (head >= this.ring.place.size || written > RX_BUFFER_SIZE)
        throw new DriverError('ERR_RING', `pair ${this.#pair}: ${written} bytes received into ${head}`, RING_HINT);
    const frames = await Promise.all(
      elements.map(({ head, written }) =>
        written > HEADER_LENGTH
          ? this.#bus.readBytes(this.#buffer(head) + BigInt(HEADER_LENGTH), written - HEADER_LENGTH)
          : Buffer.alloc(0),
      ),
    );
    if (this.ring.closed) return;
    const packets = frames.map(parsePacket).filter((packet) => packet?.dir === 'rx' && packet.pair === this.#pair);
    this.#received += packets.length;
    this.#recorder.record({
      type: 'packets.seen',
      dir: 'rx',
      pair: this.#pair,
      seqs: toRanges(packets.map((packet) => packet!.seq)),
      corrupt: frames.length - packets.length,
    });
    await Promise.all([this.ring.rearm(), this.ring.publish(elements.map(({ head }) => head))]);
  }

  #buffer(head: number): bigint {
    return this.#buffers + BigInt(RX_BUFFER_SIZE * head);
  }
}
