import { DESCRIPTOR_SIZE, mqPairsSet } from '../virtio/index.js';
import { Arena, type RingPlace } from './arena.js';
import { CONTROL_BUFFER_SIZE, CONTROL_PIECES, ControlQueue } from './control-queue.js';
import { DriverError } from './driver-error.js';
import type { DriverRing, RingContext } from './driver-ring.js';
import { type FrameShape, pieceCount } from './frame.js';
import { PackedRing } from './packed-ring.js';
import { RxQueue, rxBufferSize } from './rx-queue.js';
import { SplitRing } from './split-ring.js';
import { TX_BUFFER_SIZE, TxQueue } from './tx-queue.js';

/** The rings that the device has for us. */
export interface NetDeviceLayout {
  /** Sizes of the data rings of all pairs the device has: 2i receives, 2i+1 transmits. */
  sizes: number[];
  /** Pairs that are used: the first ones. */
  pairs: number;
  /** The control ring; absent when it was not negotiated. */
  control?: { index: number; size: number };
  /** How frames lie in buffers. */
  frame: FrameShape;
  /** Guest RAM in bytes. */
  memory: number;
  /** How many lives of the device were before this one. */
  life: number;
}

/** A running virtio-net device: the queues of one life, from feature negotiation to reset. */
export class NetDevice {
  readonly rx: readonly RxQueue[];
  readonly tx: readonly TxQueue[];
  readonly #control: ControlQueue | undefined;
  /** All data rings of the device, used or not. */
  readonly #rings: readonly DriverRing[];
  readonly #context: RingContext;
  readonly #arena: Arena;
  readonly #frame: FrameShape;
  /** Length of all rings together, from the arena's base. */
  readonly #ringBytes: number;
  #over = false;

  /** Lays everything out in guest memory; touches nothing. @throws DriverError ERR_MEMORY */
  constructor({ sizes, pairs, control, frame, memory, life }: NetDeviceLayout, context: RingContext) {
    const arena = new Arena(memory, life);
    this.#arena = arena;
    this.#context = context;
    this.#frame = frame;
    const Ring = context.layout === 'packed' ? PackedRing : SplitRing;
    const place = (index: number, size: number, pieces: number) =>
      new Ring(arena.ring(index, size, context.layout), pieces, context);
    this.#rings = sizes.map((size, index) => place(index, size, pieceCount(frame)));
    const controlRing = control && place(control.index, control.size, CONTROL_PIECES);
    this.#ringBytes = arena.used;
    if (controlRing)
      this.#control = new ControlQueue(
        controlRing,
        arena.take(CONTROL_BUFFER_SIZE),
        arena.take(CONTROL_PIECES * DESCRIPTOR_SIZE),
        context,
      );
    const used = Array.from({ length: pairs }, (_, pair) => pair);
    const bufferSize = rxBufferSize(frame, context.mergeable);
    this.rx = used.map((pair) => {
      const ring = this.#rings[2 * pair]!;
      return new RxQueue(ring, pair, { buffers: arena.take(bufferSize * ring.buffers), bufferSize }, context);
    });
    this.tx = used.map((pair) => {
      const ring = this.#rings[2 * pair + 1]!;
      return new TxQueue(ring, pair, arena.take(TX_BUFFER_SIZE * ring.buffers), context);
    });
  }

  /** Whether end() was called. */
  get over(): boolean {
    return this.#over;
  }

  /** The data rings of the pairs in use. */
  get places(): RingPlace[] {
    return this.#rings.slice(0, 2 * this.rx.length).map(({ place }) => place);
  }

  /** Writes the rings and enables the queues; everything before DRIVER_OK. @throws DriverError ERR_MEMORY */
  async setUp(): Promise<void> {
    const { bus, transport } = this.#context;
    const rings = this.#control ? [...this.#rings, this.#control.ring] : this.#rings;
    const filled = [...this.rx, ...this.tx].map((queue) => ({ queue, tables: this.#tables(queue.ring) }));
    await Promise.all([
      bus.fill(this.#arena.base, this.#ringBytes, 0),
      ...filled.map(({ queue, tables }) => queue.fill(this.#frame, tables)),
      ...rings.map(({ place }) => transport.enableQueue(place.index, place.size, place)),
    ]);
  }

  /** Tells the device of the receive buffers; for after DRIVER_OK. */
  async kickRx(): Promise<void> {
    await Promise.all(this.rx.map(({ ring }) => ring.kick()));
  }

  /** Has the device use so many of our pairs. @throws DriverError when it refuses, or has no control queue */
  async setPairs(pairs = this.rx.length): Promise<void> {
    if (!this.#control || pairs > this.rx.length)
      throw new DriverError(
        'ERR_DEVICE',
        `${pairs} queue pairs of ${this.rx.length}`,
        'a multiqueue device, and a start with as many',
      );
    await this.#control.execute(mqPairsSet(pairs));
  }

  /** Serves every ring until none has anything new, or one makes no sense, which ends this life. @throws the bus's error */
  async drain(): Promise<void> {
    const queues = [...this.rx, ...this.tx, ...(this.#control ? [this.#control] : [])];
    try {
      while (!this.#over) {
        const news = await Promise.all(queues.map(({ ring }) => ring.look()));
        if (this.#over) return;
        const busy = queues.flatMap((queue, i) => (news[i] ? [queue.collect()] : []));
        if (busy.length === 0) return;
        await Promise.all(busy);
      }
    } catch (error) {
      if (!(error instanceof DriverError)) throw error;
      this.end(error);
    }
  }

  /** Ends this life: the bus is no more touched, and whoever waits gets `reason`. */
  end(reason: Error): void {
    this.#over = true;
    for (const ring of this.#rings) ring.close();
    this.#control?.ring.close();
    for (const queue of this.tx) queue.fail(reason);
    this.#control?.fail(reason);
  }

  /** Room for the indirect tables of a ring's buffers. */
  #tables({ buffers }: DriverRing): bigint {
    return this.#arena.take(buffers * pieceCount(this.#frame) * DESCRIPTOR_SIZE);
  }
}
