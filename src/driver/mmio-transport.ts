import { DriverError } from './driver-error.js';
import type { GuestBus } from './guest-bus.js';
import type { RingAddresses, Transport } from './transport.js';

/** The transports of QEMU's microvm (VIRTIO_MMIO_BASE of include/hw/i386/microvm.h), as many as there can be. */
const BASE = 0xfeb00000n;
const STRIDE = 512n;
const COUNT = 24;
/** The first ones, with the upper inputs of the first I/O APIC; QEMU diverts the inputs of one I/O APIC only. */
const WITH_INTERRUPT = 8;

/** Registers (virtio 1.2, 4.2.2); all 4 bytes wide. */
const VERSION = 0x004n;
const DEVICE_ID = 0x008n;
const DEVICE_FEATURES = 0x010n;
const DEVICE_FEATURES_SEL = 0x014n;
const DRIVER_FEATURES = 0x020n;
const DRIVER_FEATURES_SEL = 0x024n;
const QUEUE_SEL = 0x030n;
const QUEUE_NUM_MAX = 0x034n;
const QUEUE_NUM = 0x038n;
const QUEUE_READY = 0x044n;
const QUEUE_NOTIFY = 0x050n;
const INTERRUPT_STATUS = 0x060n;
const INTERRUPT_ACK = 0x064n;
const STATUS = 0x070n;
const QUEUE_DESC = 0x080n;
const QUEUE_DRIVER = 0x090n;
const QUEUE_DEVICE = 0x0a0n;
const CONFIG = 0x100n;

const NETWORK_DEVICE = 1n;
const MODERN = 2n;

/** A modern virtio device on virtio-mmio (virtio 1.2, 4.2). */
export class MmioTransport implements Transport {
  readonly #bus: GuestBus;
  readonly #base: bigint;

  private constructor(bus: GuestBus, base: bigint) {
    this.#bus = bus;
    this.#base = base;
  }

  /** Finds the network device; QEMU plugs the first device into the last transport. @throws DriverError */
  static async locate(bus: GuestBus): Promise<MmioTransport> {
    const bases = Array.from({ length: COUNT }, (_, i) => BASE + STRIDE * BigInt(i));
    const ids = await Promise.all(bases.map((base) => bus.readMem('l', base + DEVICE_ID)));
    const base = bases[ids.indexOf(NETWORK_DEVICE)];
    if (base === undefined)
      throw new DriverError('ERR_NO_DEVICE', 'no virtio-net on virtio-mmio', 'was -device virtio-net-device given?');
    if (bases.indexOf(base) >= WITH_INTERRUPT)
      throw new DriverError(
        'ERR_DEVICE',
        'the device interrupts the second I/O APIC, which the driver cannot watch',
        'the driver needs -machine microvm,ioapic2=off',
      );
    const version = await bus.readMem('l', base + VERSION);
    if (version !== MODERN)
      throw new DriverError(
        'ERR_DEVICE',
        `virtio-mmio version ${version}`,
        'the driver needs -global virtio-mmio.force-legacy=false',
      );
    return new MmioTransport(bus, base);
  }

  async status(): Promise<number> {
    return Number(await this.#read(STATUS));
  }

  setStatus(status: number): Promise<void> {
    return this.#write(STATUS, status);
  }

  async offeredFeatures(): Promise<bigint> {
    const [, low, , high] = await Promise.all([
      this.#write(DEVICE_FEATURES_SEL, 0),
      this.#read(DEVICE_FEATURES),
      this.#write(DEVICE_FEATURES_SEL, 1),
      this.#read(DEVICE_FEATURES),
    ]);
    return low | (high << 32n);
  }

  async acceptFeatures(features: bigint): Promise<void> {
    await Promise.all([
      this.#write(DRIVER_FEATURES_SEL, 0),
      this.#write(DRIVER_FEATURES, features & 0xffffffffn),
      this.#write(DRIVER_FEATURES_SEL, 1),
      this.#write(DRIVER_FEATURES, features >> 32n),
    ]);
  }

  async queueMax(index: number): Promise<number> {
    const [, max] = await Promise.all([this.#write(QUEUE_SEL, index), this.#read(QUEUE_NUM_MAX)]);
    return Number(max);
  }

  async enableQueue(index: number, size: number, { desc, avail, used }: RingAddresses): Promise<void> {
    // QEMU carries an 8-byte access out as two of 4 bytes: the low and the high register.
    await Promise.all([
      this.#write(QUEUE_SEL, index),
      this.#write(QUEUE_NUM, size),
      this.#bus.writeMem('q', this.#base + QUEUE_DESC, desc),
      this.#bus.writeMem('q', this.#base + QUEUE_DRIVER, avail),
      this.#bus.writeMem('q', this.#base + QUEUE_DEVICE, used),
      this.#write(QUEUE_READY, 1),
    ]);
  }

  notify(index: number): Promise<void> {
    return this.#write(QUEUE_NOTIFY, index);
  }

  /** Acknowledges only what was seen, and looks again: a bit set meanwhile keeps the line up, so no edge tells of it. */
  async acknowledge(): Promise<number> {
    let isr = 0;
    for (let bits = Number(await this.#read(INTERRUPT_STATUS)); bits !== 0; ) {
      isr |= bits;
      const [, again] = await Promise.all([this.#write(INTERRUPT_ACK, bits), this.#read(INTERRUPT_STATUS)]);
      bits = Number(again);
    }
    return isr;
  }

  config(length: number): Promise<Buffer> {
    return this.#bus.readBytes(this.#base + CONFIG, length);
  }

  #read(register: bigint): Promise<bigint> {
    return this.#bus.readMem('l', this.#base + register);
  }

  #write(register: bigint, value: number | bigint): Promise<void> {
    return this.#bus.writeMem('l', this.#base + register, BigInt(value));
  }
}
