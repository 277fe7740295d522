import { type Recorder, toRanges } from '../timeline/index.js';
import { DESC_F_WRITE, parsePacket, type UsedElement } from '../virtio/index.js';
import { DriverError } from './driver-error.js';
import { type DriverRing, RING_HINT } from './driver-ring.js';
import type { GuestBus } from './guest-bus.js';

/** Holds any frame that is not merged from several buffers, like Linux' small receive buffers. */
const WHOLE_FRAME = 2048;
/** With MRG_RXBUF a buffer need not hold a frame (5.1.6.3.1). Ours fit the tester's packets, so that a burst is read at once. */
const MERGEABLE = 256;

/** Bytes of one receive buffer. */
export const rxBufferSize = (mergeable: boolean): number => (mergeable ? MERGEABLE : WHOLE_FRAME);

/** Length of the virtio-net header with VERSION_1 (virtio 1.2, 5.1.6.1). */
export const HEADER_LENGTH = 12;

/** One pair's receive queue: every entry always holds a buffer, or a packet that is being looked at. */
export class RxQueue {
  readonly ring: DriverRing;
  readonly #pair: number;
  readonly #bus: GuestBus;
  readonly #recorder: Recorder;
  readonly #buffers: bigint;
  readonly #bufferSize: number;
  #received = 0;

  /** @param buffers guest address of as many buffers as the ring has entries */
  constructor(
    ring: DriverRing,
    pair: number,
    buffers: bigint,
    { bus, recorder, mergeable }: { bus: GuestBus; recorder: Recorder; mergeable: boolean },
  ) {
    this.ring = ring;
    this.#pair = pair;
    this.#buffers = buffers;
    this.#bus = bus;
    this.#recorder = recorder;
    this.#bufferSize = rxBufferSize(mergeable);
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
      length: this.#bufferSize,
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
      if (head >= this.ring.place.size || written > this.#bufferSize)
        throw new DriverError('ERR_RING', `pair ${this.#pair}: ${written} bytes received into ${head}`, RING_HINT);
    const frames = (await Promise.all(runs(elements).map((run) => this.#read(run)))).flat();
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
    return this.#buffers + BigInt(this.#bufferSize * head);
  }

  /** The frames of buffers that lie one after the other, in one read. */
  async #read(run: readonly UsedElement[]): Promise<Buffer[]> {
    const size = this.#bufferSize;
    // At least a header: qtest reads no nothing.
    const last = Math.max(run.at(-1)!.written, HEADER_LENGTH);
    const bytes = await this.#bus.readBytes(this.#buffer(run[0]!.head), size * (run.length - 1) + last);
    return run.map(({ written }, i) => bytes.subarray(size * i + HEADER_LENGTH, size * i + written));
  }
}

/** Splits used buffers, in order, where the next one is not the neighbour in memory. */
function runs(elements: readonly UsedElement[]): UsedElement[][] {
  const list: UsedElement[][] = [];
  for (const element of elements) {
    const run = list.at(-1);
    if (run && element.head === run.at(-1)!.head + 1) run.push(element);
    else list.push([element]);
  }
  return list;
}
