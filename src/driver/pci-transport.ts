import { DriverError } from './driver-error.js';
import type { GuestBus } from './guest-bus.js';
import {
  COMMAND_MASTER,
  COMMAND_MEMORY,
  PCI_BAR0,
  PCI_CAPABILITIES,
  PCI_COMMAND,
  PCI_ID,
  PCI_SLOTS,
  PciFunction,
} from './pci-function.js';
import type { RingAddresses, Transport } from './transport.js';

/** Vendor 0x1af4 with the modern and the transitional virtio-net device id (virtio 1.2, 4.1.2). */
const VIRTIO_NET_IDS = [0x10411af4, 0x10001af4];
/** Slots asked at a time: the device is usually among the first. */
const SCAN_STEP = 8;

/** Each BAR gets a window of its own above RAM, much larger than any BAR of virtio, so sizes need not be asked. */
const WINDOW_BASE = 0xe0000000;
const WINDOW_SIZE = 0x1000000;
const BAR_IO = 1;
const BAR_64BIT = 4;

/** Vendor capability and its cfg_type (virtio 1.2, 4.1.4). */
const CAPABILITY_VENDOR = 9;
const STRUCTURES = { common: 1, notify: 2, isr: 3, device: 4 } as const;
/** More capabilities than fit in configuration space: the list loops. */
const MAX_CAPABILITIES = 48;

/** Registers of the common configuration (virtio 1.2, 4.1.4.3). */
const DEVICE_FEATURE_SELECT = 0x00n;
const DEVICE_FEATURE = 0x04n;
const DRIVER_FEATURE_SELECT = 0x08n;
const DRIVER_FEATURE = 0x0cn;
const DEVICE_STATUS = 0x14n;
const QUEUE_SELECT = 0x16n;
const QUEUE_SIZE = 0x18n;
const QUEUE_ENABLE = 0x1cn;
const QUEUE_NOTIFY_OFF = 0x1en;
const QUEUE_DESC = 0x20n;
const QUEUE_DRIVER = 0x28n;
const QUEUE_DEVICE = 0x30n;

/** Where a register structure is: BAR number and offset; `multiplier` is the notify structure's. */
interface Structure {
  type: number;
  bar: number;
  offset: number;
  multiplier: number;
}

/** Finds the virtio-net function on bus 0. @throws DriverError ERR_NO_DEVICE */
async function findFunction(bus: GuestBus): Promise<PciFunction> {
  for (let from = 0; from < PCI_SLOTS; from += SCAN_STEP) {
    const functions = Array.from({ length: SCAN_STEP }, (_, i) => new PciFunction(bus, from + i));
    const ids = await Promise.all(functions.map((candidate) => candidate.read(PCI_ID)));
    const found = functions[ids.findIndex((id) => VIRTIO_NET_IDS.includes(id))];
    if (found) return found;
  }
  throw new DriverError('ERR_NO_DEVICE', 'no virtio-net on PCI bus 0', 'was -device virtio-net-pci given?');
}

/** Walks the capability list (virtio 1.2, 4.1.4). Where a type comes twice the first counts: the device prefers it. */
async function readStructures(fn: PciFunction): Promise<Structure[]> {
  const structures: Structure[] = [];
  let at = (await fn.read(PCI_CAPABILITIES)) & 0xfc;
  for (let n = 0; at !== 0 && n < MAX_CAPABILITIES; n++) {
    const words = await Promise.all([0, 4, 8, 16].map((offset) => fn.read(at + offset)));
    const [head = 0, where = 0, offset = 0, multiplier = 0] = words;
    const type = head >>> 24;
    if ((head & 0xff) === CAPABILITY_VENDOR && !structures.some((known) => known.type === type))
      structures.push({ type, bar: where & 0xff, offset, multiplier });
    at = (head >>> 8) & 0xfc;
  }
  return structures;
}

/** A modern virtio device on PCI, with INTx (virtio 1.2, 4.1). */
export class PciTransport implements Transport {
  readonly #bus: GuestBus;
  readonly #common: bigint;
  readonly #notify: bigint;
  readonly #multiplier: number;
  readonly #isr: bigint;
  readonly #device: bigint;
  /** queue_notify_off by queue. */
  readonly #notifyOffsets = new Map<number, bigint>();

  private constructor(bus: GuestBus, structures: readonly Structure[], bars: ReadonlyMap<number, number>) {
    const locate = (name: keyof typeof STRUCTURES) => {
      const found = structures.find(({ type }) => type === STRUCTURES[name]);
      if (!found)
        throw new DriverError(
          'ERR_DEVICE',
          `the device has no ${name} structure`,
          'the driver needs disable-modern=off',
        );
      return { addr: BigInt(bars.get(found.bar)! + found.offset), multiplier: found.multiplier };
    };
    this.#bus = bus;
    this.#common = locate('common').addr;
    ({ addr: this.#notify, multiplier: this.#multiplier } = locate('notify'));
    this.#isr = locate('isr').addr;
    this.#device = locate('device').addr;
  }

  /** Finds the device, gives its BARs addresses and lets it use the bus: what firmware would do. @throws DriverError */
  static async locate(bus: GuestBus): Promise<PciTransport> {
    const fn = await findFunction(bus);
    const structures = (await readStructures(fn)).filter(({ type }) =>
      Object.values<number>(STRUCTURES).includes(type),
    );
    const numbers = [...new Set(structures.map(({ bar }) => bar))];
    const registers = await Promise.all(numbers.map((bar) => fn.read(PCI_BAR0 + 4 * bar)));
    const bars = new Map<number, number>();
    const writes: Promise<void>[] = [];
    for (const [i, bar] of numbers.entries()) {
      const kind = registers[i]!;
      if (kind & BAR_IO)
        throw new DriverError('ERR_DEVICE', `BAR ${bar} is I/O`, 'the driver needs modern-pio-notify=off');
      bars.set(bar, WINDOW_BASE + WINDOW_SIZE * i);
      writes.push(fn.write(PCI_BAR0 + 4 * bar, bars.get(bar)!));
      if (kind & BAR_64BIT) writes.push(fn.write(PCI_BAR0 + 4 * bar + 4, 0));
    }
    writes.push(fn.write(PCI_COMMAND, COMMAND_MEMORY | COMMAND_MASTER));
    await Promise.all(writes);
    return new PciTransport(bus, structures, bars);
  }

  /** The slot of the device. @throws DriverError ERR_NO_DEVICE */
  static async slot(bus: GuestBus): Promise<number> {
    return (await findFunction(bus)).slot;
  }

  async status(): Promise<number> {
    return Number(await this.#bus.readMem('b', this.#common + DEVICE_STATUS));
  }

  setStatus(status: number): Promise<void> {
    return this.#bus.writeMem('b', this.#common + DEVICE_STATUS, BigInt(status));
  }

  async offeredFeatures(): Promise<bigint> {
    const [, low, , high] = await Promise.all([
      this.#bus.writeMem('l', this.#common + DEVICE_FEATURE_SELECT, 0n),
      this.#bus.readMem('l', this.#common + DEVICE_FEATURE),
      this.#bus.writeMem('l', this.#common + DEVICE_FEATURE_SELECT, 1n),
      this.#bus.readMem('l', this.#common + DEVICE_FEATURE),
    ]);
    return low | (high << 32n);
  }

  async acceptFeatures(features: bigint): Promise<void> {
    await Promise.all([
      this.#bus.writeMem('l', this.#common + DRIVER_FEATURE_SELECT, 0n),
      this.#bus.writeMem('l', this.#common + DRIVER_FEATURE, features & 0xffffffffn),
      this.#bus.writeMem('l', this.#common + DRIVER_FEATURE_SELECT, 1n),
      this.#bus.writeMem('l', this.#common + DRIVER_FEATURE, features >> 32n),
    ]);
  }

  async queueMax(index: number): Promise<number> {
    const [, max, notifyOff] = await Promise.all([
      this.#bus.writeMem('w', this.#common + QUEUE_SELECT, BigInt(index)),
      this.#bus.readMem('w', this.#common + QUEUE_SIZE),
      this.#bus.readMem('w', this.#common + QUEUE_NOTIFY_OFF),
    ]);
    this.#notifyOffsets.set(index, notifyOff);
    return Number(max);
  }

  async enableQueue(index: number, size: number, { desc, avail, used }: RingAddresses): Promise<void> {
    // QEMU carries an 8-byte access to these registers out as two of 4 bytes, which is what they are.
    await Promise.all([
      this.#bus.writeMem('w', this.#common + QUEUE_SELECT, BigInt(index)),
      this.#bus.writeMem('w', this.#common + QUEUE_SIZE, BigInt(size)),
      this.#bus.writeMem('q', this.#common + QUEUE_DESC, desc),
      this.#bus.writeMem('q', this.#common + QUEUE_DRIVER, avail),
      this.#bus.writeMem('q', this.#common + QUEUE_DEVICE, used),
      this.#bus.writeMem('w', this.#common + QUEUE_ENABLE, 1n),
    ]);
  }

  notify(index: number): Promise<void> {
    const offset = this.#notifyOffsets.get(index)! * BigInt(this.#multiplier);
    return this.#bus.writeMem('w', this.#notify + offset, BigInt(index));
  }

  /** Reading clears the register. */
  async acknowledge(): Promise<number> {
    return Number(await this.#bus.readMem('b', this.#isr));
  }

  config(length: number): Promise<Buffer> {
    return this.#bus.readBytes(this.#device, length);
  }
}
