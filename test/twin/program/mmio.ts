import type { NetDevice } from './net-device.js';
import { MAX_QUEUE_SIZE, type Virtqueue } from './virtqueue.js';

/** microvm plugs the first device into the last one of its virtio-mmio slots. */
const BASE = 0xfeb0_0000n;
const SLOT_SIZE = 512n;

/** The I/O APIC's pin of the last slot, however many there are: slots end with the pins of the last I/O APIC. */
export const DEVICE_PIN = 23;

const MAGIC = 0x74726976;
const VERSION = 2;
const DEVICE_ID_NET = 1;
const VENDOR = 0x554d4551;

const CONFIG = 0x100;

/** Registers of virtio-mmio version 2 (virtio 1.2, 4.2.2). */
const REG = {
  magic: 0x00,
  version: 0x04,
  deviceId: 0x08,
  vendor: 0x0c,
  deviceFeatures: 0x10,
  deviceFeaturesSel: 0x14,
  driverFeatures: 0x20,
  driverFeaturesSel: 0x24,
  queueSel: 0x30,
  queueNumMax: 0x34,
  queueNum: 0x38,
  queueReady: 0x44,
  queueNotify: 0x50,
  interruptStatus: 0x60,
  interruptAck: 0x64,
  status: 0x70,
  configGeneration: 0xfc,
} as const;

/** Low and high words of the ring addresses. */
const ADDRESS_REGISTERS = new Map<number, ['desc' | 'avail' | 'used', 0 | 32]>([
  [0x80, ['desc', 0]],
  [0x84, ['desc', 32]],
  [0x90, ['avail', 0]],
  [0x94, ['avail', 32]],
  [0xa0, ['used', 0]],
  [0xa4, ['used', 32]],
]);

const WORD = 0xffff_ffffn;

/** `value` with one 32-bit word replaced. */
const withWord = (value: bigint, shift: 0 | 32, word: number): bigint =>
  (value & ~(WORD << BigInt(shift))) | (BigInt(word >>> 0) << BigInt(shift));

/** The virtio-mmio transport of microvm with the network device in its last slot. */
export class Mmio {
  readonly #device: NetDevice;
  readonly #slots: bigint;
  #deviceFeaturesSel = 0;
  #driverFeaturesSel = 0;
  #queueSel = 0;

  /** @param slots how many the machine has */
  constructor(device: NetDevice, slots: number) {
    this.#device = device;
    this.#slots = BigInt(slots);
  }

  /** Whether an address belongs to the slots. */
  contains(addr: bigint): boolean {
    return addr >= BASE && addr < BASE + SLOT_SIZE * this.#slots;
  }

  /** Reads `size` bytes of registers. */
  read(addr: bigint, size: number): number {
    const offset = Number((addr - BASE) % SLOT_SIZE);
    if (!this.#isDevice(addr)) return this.#emptySlot(offset);
    if (offset >= CONFIG) return this.#readConfig(offset - CONFIG, size);
    const device = this.#device;
    switch (offset) {
      case REG.deviceId:
        return DEVICE_ID_NET;
      case REG.deviceFeatures:
        return this.#deviceFeaturesSel < 2
          ? Number((device.offered >> BigInt(32 * this.#deviceFeaturesSel)) & WORD)
          : 0;
      case REG.queueNumMax:
        return this.#queue ? MAX_QUEUE_SIZE : 0;
      case REG.queueReady:
        return this.#queue?.ready ? 1 : 0;
      case REG.interruptStatus:
        return device.isr;
      case REG.status:
        return device.status;
      case REG.configGeneration:
        return device.generation;
      default:
        return this.#emptySlot(offset);
    }
  }

  /** Writes a register. Resolves when the device has done what it asks for. */
  async write(addr: bigint, value: number): Promise<void> {
    if (!this.#isDevice(addr)) return;
    const offset = Number((addr - BASE) % SLOT_SIZE);
    const device = this.#device;
    const address = ADDRESS_REGISTERS.get(offset);
    const queue = this.#queue;
    if (address && queue) {
      const [part, shift] = address;
      queue[part] = withWord(queue[part], shift, value);
      return;
    }
    switch (offset) {
      case REG.deviceFeaturesSel:
        this.#deviceFeaturesSel = value;
        break;
      case REG.driverFeaturesSel:
        this.#driverFeaturesSel = value;
        break;
      case REG.driverFeatures:
        device.driverFeatures = withWord(device.driverFeatures, this.#driverFeaturesSel === 0 ? 0 : 32, value);
        break;
      case REG.queueSel:
        this.#queueSel = value;
        break;
      case REG.queueNum:
        if (queue) queue.size = value;
        break;
      case REG.queueReady:
        if (queue) queue.ready = value === 1;
        break;
      case REG.queueNotify:
        return device.notify(value & 0xffff);
      case REG.interruptAck:
        device.acknowledge(value);
        break;
      case REG.status:
        return device.setStatus(value & 0xff);
    }
  }

  #isDevice(addr: bigint): boolean {
    return (addr - BASE) / SLOT_SIZE === this.#slots - 1n;
  }

  get #queue(): Virtqueue | undefined {
    return this.#device.queue(this.#queueSel);
  }

  /** What a slot without a device shows, too. */
  #emptySlot(offset: number): number {
    switch (offset) {
      case REG.magic:
        return MAGIC;
      case REG.version:
        return VERSION;
      case REG.vendor:
        return VENDOR;
      default:
        return 0;
    }
  }

  /** Reads past the end of the configuration space are all ones (virtio_config_modern_readb and its siblings). */
  #readConfig(offset: number, size: number): number {
    const { config } = this.#device;
    return offset + size <= config.length ? config.readUIntLE(offset, size) : 2 ** (8 * size) - 1;
  }
}
