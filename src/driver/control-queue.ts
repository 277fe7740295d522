import type { Recorder } from '../timeline/index.js';
import { CONTROL_OK, CONTROL_UNANSWERED, type ControlCommand } from '../virtio/index.js';
import { DriverError } from './driver-error.js';
import type { DriverRing } from './driver-ring.js';
import type { GuestBus } from './guest-bus.js';
import { Waiters } from './waiters.js';

/** Room for each part of a command. */
const PART = 16;
/** Bytes of guest memory that the queue needs for its command. */
export const CONTROL_BUFFER_SIZE = 3 * PART;
/** A command in pieces: header, data, and the answer. */
export const CONTROL_PIECES = 3;

/** The control queue (virtio 1.2, 5.1.6.5); one command at a time. */
export class ControlQueue {
  readonly ring: DriverRing;
  readonly #bus: GuestBus;
  readonly #recorder: Recorder;
  readonly #buffer: bigint;
  readonly #table: bigint;
  readonly #answered = new Waiters();

  /** @param table guest address of room for an indirect table */
  constructor(
    ring: DriverRing,
    buffer: bigint,
    table: bigint,
    { bus, recorder }: { bus: GuestBus; recorder: Recorder },
  ) {
    this.ring = ring;
    this.#buffer = buffer;
    this.#table = table;
    this.#bus = bus;
    this.#recorder = recorder;
  }

  /** Has a command carried out. @throws DriverError ERR_DEVICE when the device refuses it */
  async execute({ header, data }: ControlCommand): Promise<void> {
    const addr = this.#buffer;
    const bytes = Buffer.alloc(CONTROL_BUFFER_SIZE);
    bytes.set(header);
    bytes.set(data, PART);
    bytes[2 * PART] = CONTROL_UNANSWERED;
    const answered = this.#answered.wait();
    // One command at a time: its buffer is described anew for each.
    const pieces = [
      { addr, length: header.length, writable: false },
      { addr: addr + BigInt(PART), length: data.length, writable: false },
      { addr: addr + BigInt(2 * PART), length: 1, writable: true },
    ];
    await Promise.all([
      this.#bus.writeBytes(addr, bytes),
      this.ring.describe([pieces], this.#table),
      this.ring.publish([0]),
      answered,
    ]);
    const ack = Number(await this.#bus.readMem('b', addr + BigInt(2 * PART)));
    if (ack === CONTROL_OK) return;
    const what = `control command ${header.toString('hex')} ${data.toString('hex')} was answered with ${ack}`;
    this.#recorder.record({ type: 'driver.broken', rule: 'command', what });
    throw new DriverError('ERR_DEVICE', what, 'does the netdev have that many queues?');
  }

  /** Takes the answer. */
  async collect(): Promise<void> {
    await this.ring.take();
    if (this.ring.closed) return;
    await this.ring.rearm();
    this.#answered.wake();
  }

  /** Ends the wait for an answer. */
  fail(error: Error): void {
    this.#answered.fail(error);
  }
}
