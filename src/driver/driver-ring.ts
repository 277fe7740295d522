import type { Recorder } from '../timeline/index.js';
import type { RingLayout, UsedElement } from '../virtio/index.js';
import { DESC_F_WRITE } from '../virtio/index.js';
import type { RingPlace } from './arena.js';
import { DriverError } from './driver-error.js';
import type { GuestBus } from './guest-bus.js';
import type { Transport } from './transport.js';

/** What rings of one device share. */
export interface RingContext {
  bus: GuestBus;
  transport: Transport;
  recorder: Recorder;
  /** packed when VIRTIO_F_RING_PACKED was accepted. */
  layout: RingLayout;
  /** VIRTIO_RING_F_EVENT_IDX was accepted. */
  eventIdx: boolean;
  /** VIRTIO_RING_F_INDIRECT_DESC was accepted: what has more than one piece goes through a table. */
  indirect: boolean;
  /** VIRTIO_NET_F_MRG_RXBUF was accepted. */
  mergeable: boolean;
}

/** A part of a buffer, in guest memory. */
export interface Piece {
  addr: bigint;
  length: number;
  /** For the device to write. */
  writable: boolean;
}

/** The flag of a piece's descriptor that has nothing to do with where it stands. */
export const pieceFlags = ({ writable }: Piece): number => (writable ? DESC_F_WRITE : 0);

/**
 * The driver's side of one virtqueue in memory behind the bus, zeroed before. Its buffers are numbered from 0, are all of as
 * many pieces, and are told once and for all: a buffer is then offered by its number. After close() the ring touches the bus
 * no more, whatever was still under way: the memory may belong to the next life of the device.
 */
export abstract class DriverRing {
  readonly place: RingPlace;
  /** How many buffers it holds. */
  readonly buffers: number;
  /** Entries of the ring, or of the descriptor table, that a buffer takes. */
  protected readonly slots: number;
  /** Whether buffers are described in tables of their own. */
  protected readonly indirect: boolean;
  protected readonly context: RingContext;
  #closed = false;

  /** @param pieces of each of its buffers */
  constructor(place: RingPlace, pieces: number, context: RingContext) {
    this.place = place;
    this.context = context;
    this.indirect = context.indirect && pieces > 1;
    this.slots = this.indirect ? 1 : pieces;
    this.buffers = Math.floor(place.size / this.slots);
  }

  get closed(): boolean {
    return this.#closed;
  }

  close(): void {
    this.#closed = true;
  }

  /**
   * Tells what its buffers are; for before DRIVER_OK.
   * @param tables guest address of room for an indirect table of each buffer, back to back, where the ring needs them
   */
  abstract describe(buffers: readonly Piece[][], tables: bigint): Promise<void>;

  /** Makes buffers available, without telling the device. */
  abstract offer(numbers: readonly number[]): Promise<void>;

  /** Makes buffers available and notifies the device if it wants to know. */
  abstract publish(numbers: readonly number[]): Promise<void>;

  /** Whether the device handed something back. */
  abstract look(): Promise<boolean>;

  /**
   * Takes what the last look() saw handed back; `head` is a buffer's number, as the device says.
   * @throws DriverError when it cannot be
   */
  abstract take(): Promise<UsedElement[]>;

  /** Asks for an interrupt at what is handed back next. The caller looks once more afterwards. */
  abstract rearm(): Promise<void>;

  /** Records what the device did to the ring against the rules. @returns the error to throw */
  wrong(what: string): DriverError {
    const { index } = this.place;
    this.context.recorder.record({ type: 'driver.broken', rule: 'ring', what, ring: index });
    return new DriverError('ERR_RING', `ring ${index}: ${what}`, RING_HINT);
  }

  /** Notifies the device, whatever it wants, so many times in a row. */
  async kick(times = 1): Promise<void> {
    const { recorder, transport } = this.context;
    const { index } = this.place;
    recorder.record({ type: 'driver.kick', ring: index, ...(times > 1 ? { count: times } : {}) });
    await Promise.all(Array.from({ length: times }, () => transport.notify(index)));
  }
}

/** Where to look when a ring makes no sense. */
const RING_HINT = 'whoever serves the ring, the peer or QEMU, handed back what the driver never made available';
