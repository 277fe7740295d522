import { type Recorder, toRanges } from '../timeline/index.js';
import { buffersOf, parsePacket, type UsedElement } from '../virtio/index.js';
import type { DriverRing } from './driver-ring.js';
import { type FrameShape, framePieces, HEADER_LENGTH } from './frame.js';
import type { GuestBus } from './guest-bus.js';

/** Holds any frame that is not merged from several buffers, like Linux' small receive buffers. */
const WHOLE_FRAME = 2048;
/** With MRG_RXBUF a buffer need not hold a frame (5.1.6.3.1). Ours fit the tester's packets, so that a burst is read at once. */
const MERGEABLE = 256;
/** Too small for the tester's packets: each takes two. */
const HALF = 64;

/** Bytes of one receive buffer. */
export function rxBufferSize(frame: FrameShape, mergeable: boolean): number {
  if (frame === 'halves') return HALF;
  return mergeable ? MERGEABLE : WHOLE_FRAME;
}

/** What the device wrote into one buffer. */
interface Filled extends UsedElement {
  bytes: Buffer;
}

/** One pair's receive queue: every buffer is always the device's, or holds a packet that is being looked at. */
export class RxQueue {
  readonly ring: DriverRing;
  readonly #pair: number;
  readonly #bus: GuestBus;
  readonly #recorder: Recorder;
  readonly #mergeable: boolean;
  readonly #buffers: bigint;
  readonly #bufferSize: number;
  /** The first buffers of a packet the rest of which the device has not handed back yet. */
  #begun: Filled[] = [];
  #received = 0;

  /** @param buffers guest address of as many buffers as the ring holds, of `bufferSize` bytes each */
  constructor(
    ring: DriverRing,
    pair: number,
    { buffers, bufferSize }: { buffers: bigint; bufferSize: number },
    { bus, recorder, mergeable }: { bus: GuestBus; recorder: Recorder; mergeable: boolean },
  ) {
    this.ring = ring;
    this.#pair = pair;
    this.#buffers = buffers;
    this.#bufferSize = bufferSize;
    this.#bus = bus;
    this.#recorder = recorder;
    this.#mergeable = mergeable;
  }

  /** Packets received intact. */
  get received(): number {
    return this.#received;
  }

  /** Offers all buffers; for before DRIVER_OK. */
  async fill(frame: FrameShape, tables: bigint): Promise<void> {
    const numbers = Array.from({ length: this.ring.buffers }, (_, number) => number);
    const buffers = numbers.map((number) =>
      framePieces(frame, { addr: this.#buffer(number), length: this.#bufferSize, writable: true }),
    );
    await Promise.all([this.ring.describe(buffers, tables), this.ring.offer(numbers)]);
  }

  /** Takes the packets that came, records them and offers their buffers again. @throws DriverError */
  async collect(): Promise<void> {
    const elements = await this.ring.take();
    if (this.ring.closed) return;
    for (const { head, written } of elements)
      if (written > this.#bufferSize) throw this.ring.wrong(`${written} bytes received into ${head}`);
    const filled = (await Promise.all(runs(elements).map((run) => this.#read(run)))).flat();
    if (this.ring.closed) return;
    const frames = this.#frames(filled);
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

  #buffer(number: number): bigint {
    return this.#buffers + BigInt(this.#bufferSize * number);
  }

  /** The contents of buffers that lie one after the other, in one read. */
  async #read(run: readonly UsedElement[]): Promise<Filled[]> {
    const size = this.#bufferSize;
    // At least a header: qtest reads no nothing.
    const last = Math.max(run.at(-1)!.written, HEADER_LENGTH);
    const bytes = await this.#bus.readBytes(this.#buffer(run[0]!.head), size * (run.length - 1) + last);
    return run.map((element, i) => ({ ...element, bytes: bytes.subarray(size * i, size * i + element.written) }));
  }

  /** Puts packets together from the buffers that their headers count (5.1.6.4). */
  #frames(filled: readonly Filled[]): Buffer[] {
    const frames: Buffer[] = [];
    for (const buffer of filled) {
      this.#begun.push(buffer);
      if (this.#begun.length < this.#needed(this.#begun[0]!.bytes)) continue;
      frames.push(Buffer.concat(this.#begun.map(({ bytes }) => bytes)).subarray(HEADER_LENGTH));
      this.#begun = [];
    }
    return frames;
  }

  /** How many buffers a packet fills. A header that says what cannot be is that of a corrupt packet in one. */
  #needed(first: Buffer): number {
    if (!this.#mergeable || first.length < HEADER_LENGTH) return 1;
    const needed = buffersOf(first);
    return needed <= this.ring.buffers ? needed : 1;
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
