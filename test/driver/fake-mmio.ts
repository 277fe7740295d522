import type { AccessSize, GuestBus } from '../../src/driver/index.js';
import {
  type DeviceQueue,
  encodePacked,
  openQueue,
  PACKED_DESC_F_AVAIL,
  PACKED_DESC_F_USED,
  PACKED_FRESH_BASE,
  RING_HEADER_SIZE,
  USED_ELEMENT_SIZE,
} from '../../src/virtio/index.js';
import {
  bit,
  VIRTIO_F_RING_PACKED,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
} from '../../src/wire/index.js';
import { ArrayMemory } from '../virtio/guest-ring.js';

const BASE = 0xfeb00000n;
const LINE = 16;

interface FakeQueue {
  size: number;
  desc: bigint;
  avail: bigint;
  used: bigint;
  queue?: DeviceQueue;
}

/** A virtio-net device on virtio-mmio, in this process: what QEMU would be, with as many queue pairs as wanted. */
export class FakeMmio implements GuestBus {
  connected = true;
  readonly lost = new Promise<never>(() => {});
  readonly memory = new ArrayMemory(16 * 1024 * 1024);
  readonly queues = new Map<number, FakeQueue>();
  accepted = 0n;
  status = 0;
  pairsSet: number | undefined;
  /** Commands so far. */
  commands = 0;
  /** The ack byte of control commands. */
  ack = 0;
  maxSize = 256;
  mtu = 1500;
  version = 2;
  refuseFeatures = false;
  /** false: whatever is written to it, the status stays 0. */
  acceptsStatus = true;
  /** What the status reads as after a reset. */
  afterReset = 0;
  #select = 0;
  #featureSelect = 0;
  #isr = 0;
  #listeners = new Set<(line: number, raised: boolean) => void>();

  constructor(
    readonly maxPairs: number,
    readonly offered: bigint,
  ) {}

  readonly inl = () => Promise.resolve(0);
  readonly outl = () => Promise.resolve();
  readonly interceptIrq = () => Promise.resolve();

  onIrq(listener: (line: number, raised: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async readMem(size: AccessSize, addr: bigint): Promise<bigint> {
    this.commands++;
    if (addr >= BASE) return BigInt(this.#readRegister(Number(addr - BASE)));
    const bytes = this.memory.read(addr, { b: 1, w: 2, l: 4, q: 8 }[size]);
    return BigInt(`0x${bytes.reverse().toString('hex')}`);
  }

  async writeMem(size: AccessSize, addr: bigint, value: bigint): Promise<void> {
    this.commands++;
    if (addr >= BASE) return this.#writeRegister(Number(addr - BASE), value);
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(value);
    this.memory.write(addr, bytes.subarray(0, { b: 1, w: 2, l: 4, q: 8 }[size]));
  }

  async readBytes(addr: bigint, length: number): Promise<Buffer> {
    this.commands++;
    if (addr < BASE) return this.memory.read(addr, length);
    const config = Buffer.alloc(12);
    config[6] = 1;
    config.writeUInt16LE(this.maxPairs, 8);
    config.writeUInt16LE(this.mtu, 10);
    return config.subarray(0, length);
  }

  async writeBytes(addr: bigint, bytes: Buffer): Promise<void> {
    this.commands++;
    this.memory.write(addr, bytes);
  }

  async fill(addr: bigint, length: number, byte: number): Promise<void> {
    this.commands++;
    this.memory.write(addr, Buffer.alloc(length, byte));
  }

  /** The running queue. */
  queue(index: number): DeviceQueue {
    return this.queues.get(index)!.queue!;
  }

  /** Publishes what was pushed on a queue and interrupts the driver if it wants that. */
  publish(index: number): void {
    this.queue(index).publish();
    if (this.queue(index).needsCall()) this.interrupt(1);
  }

  interrupt(bit: number): void {
    const rises = this.#isr === 0;
    this.#isr |= bit;
    if (rises) for (const listener of this.#listeners) listener(LINE, true);
  }

  /** Hands back what the driver never offered. */
  forgeUsed(index: number, head: number): void {
    const { desc, used } = this.queues.get(index)!;
    if (this.#has(VIRTIO_F_RING_PACKED)) {
      const flags = PACKED_DESC_F_AVAIL | PACKED_DESC_F_USED;
      this.memory.write(desc, encodePacked([{ addr: 0n, length: 0, id: head, flags }]));
      this.interrupt(1);
      return;
    }
    this.memory.bytes.writeUInt32LE(head, Number(used) + RING_HEADER_SIZE);
    this.memory.bytes.writeUInt32LE(0, Number(used) + RING_HEADER_SIZE + USED_ELEMENT_SIZE / 2);
    this.memory.bytes.writeUInt16LE(1, Number(used) + 2);
    this.interrupt(1);
  }

  #readRegister(register: number): number {
    if (register >= 512) return 0;
    switch (register) {
      case 0x04:
        return this.version;
      case 0x08:
        return 1;
      case 0x10:
        return Number((this.offered >> BigInt(32 * this.#featureSelect)) & 0xffffffffn);
      case 0x34:
        return this.#select <= 2 * this.maxPairs ? this.maxSize : 0;
      case 0x60:
        return this.#isr;
      default:
        return this.status;
    }
  }

  #writeRegister(register: number, value: bigint): void {
    const selected = this.queues.get(this.#select)!;
    switch (register) {
      case 0x14:
      case 0x24:
        this.#featureSelect = Number(value);
        break;
      case 0x20:
        this.accepted |= value << BigInt(32 * this.#featureSelect);
        break;
      case 0x30:
        this.#select = Number(value);
        if (!this.queues.has(this.#select)) this.queues.set(this.#select, { size: 0, desc: 0n, avail: 0n, used: 0n });
        break;
      case 0x38:
        selected.size = Number(value);
        break;
      case 0x80:
        selected.desc = value;
        break;
      case 0x90:
        selected.avail = value;
        break;
      case 0xa0:
        selected.used = value;
        break;
      case 0x50:
        if (Number(value) === 2 * this.maxPairs) setImmediate(() => this.#control());
        break;
      case 0x64:
        this.#isr &= ~Number(value);
        break;
      case 0x70:
        this.#setStatus(Number(value));
        break;
    }
  }

  #setStatus(status: number): void {
    this.status = !this.acceptsStatus ? 0 : status === 0 ? this.afterReset : this.refuseFeatures ? status & ~8 : status;
    if (status === 0) {
      this.accepted = 0n;
      this.#isr = 0;
      this.queues.clear();
    }
    if ((status & 4) === 0) return;
    const packed = this.#has(VIRTIO_F_RING_PACKED);
    for (const q of this.queues.values()) {
      q.queue = openQueue(packed ? 'packed' : 'split', {
        ...q,
        base: packed ? PACKED_FRESH_BASE : 0,
        eventIdx: this.#has(VIRTIO_RING_F_EVENT_IDX),
        indirect: this.#has(VIRTIO_RING_F_INDIRECT_DESC),
        rings: this.memory,
        buffers: this.memory,
      });
      q.queue.enableNotify();
    }
  }

  #has(feature: number): boolean {
    return (this.accepted & bit(feature)) !== 0n;
  }

  #control(): void {
    const index = 2 * this.maxPairs;
    for (const chain of this.queue(index).popAll()) {
      const command = this.queue(index).readOut(chain);
      if (command[0] === 4 && command[1] === 0) this.pairsSet = command.readUInt16LE(2);
      this.queue(index).push(chain, this.queue(index).writeIn(chain, Buffer.of(this.ack)));
    }
    this.publish(index);
  }
}
