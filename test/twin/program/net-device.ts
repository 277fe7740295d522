import { VirtioError } from '../../../src/virtio/index.js';
import {
  VIRTIO_F_RING_PACKED,
  VIRTIO_NET_F_CTRL_VQ,
  VIRTIO_NET_F_MQ,
  VIRTIO_NET_F_MTU,
  VIRTIO_RING_F_EVENT_IDX,
} from '../../../src/wire/index.js';
import { runControlQueue } from './control-queue.js';
import { has } from './features.js';
import type { Ram } from './ram.js';
import { complain } from './stderr.js';
import { type Tamper, TxTamper } from './tx-tamper.js';
import { Virtqueue } from './virtqueue.js';

/** Device status bits (virtio 1.2, 2.1). */
const DRIVER_OK = 4;
const FEATURES_OK = 8;

/** Interrupt causes. QEMU reports both for a change of configuration (virtio_notify_config). */
const ISR_RING = 1;
const ISR_CONFIG = 3;

/** The network back-end of the device: what QEMU's vhost_net does for it. */
export interface NetBackend {
  /** Tells the back-end whether a pair is in use; nothing when it is away. */
  enablePair(pair: number, enabled: boolean): Promise<void>;
  /** Hands the rings over. @returns false when that failed and QEMU keeps them. */
  start(device: NetDevice): Promise<boolean>;
  /** Takes the rings back. */
  stop(device: NetDevice): Promise<void>;
}

export interface NetDeviceOptions {
  ram: Ram;
  /** Features offered to the guest. */
  offered: bigint;
  queuePairs: number;
  /** What the guest is told where MTU is offered. */
  mtu: number;
  backend: NetBackend;
  /** Drives the interrupt line. */
  interruptLine(raised: boolean): void;
  forwardsKick(): boolean;
  changesPairs(): boolean;
  followsMorePairs(): boolean;
  takesOverUsed: boolean;
  tamper: Tamper;
}

/** QEMU's virtio-net device without its transport: what the guest negotiated, and when the rings go to the back-end. */
export class NetDevice {
  readonly offered: bigint;
  readonly queues: readonly Virtqueue[];
  readonly queuePairs: number;
  mtu: number;
  readonly mac = Buffer.from('525400123456', 'hex');
  /** Features that the driver wrote; they count from FEATURES_OK on. */
  driverFeatures = 0n;
  accepted = 0n;
  status = 0;
  isr = 0;
  generation = 0;
  /** Pairs that the guest uses. */
  activePairs = 1;
  /** The guest's view of the link. */
  linkUp = true;
  /** The rings are the back-end's. */
  started = false;
  readonly #o: NetDeviceOptions;
  readonly #tamper: TxTamper;
  #running = true;
  #present = true;

  constructor(options: NetDeviceOptions) {
    this.#o = options;
    this.offered = options.offered;
    this.queuePairs = options.queuePairs;
    this.mtu = options.mtu;
    this.queues = Array.from({ length: 2 * options.queuePairs + 1 }, (_, i) => new Virtqueue(i));
    this.#tamper = new TxTamper(options.ram, options.tamper);
  }

  /** Pairs whose rings go to the back-end: all of them once the guest accepted multiqueue. */
  get dataPairs(): number {
    return has(this.accepted, VIRTIO_NET_F_MQ) ? this.queuePairs : 1;
  }

  /** The queue with this index, if the device has it with what was negotiated; the control queue is the last. */
  queue(index: number): Virtqueue | undefined {
    const control = has(this.offered, VIRTIO_NET_F_CTRL_VQ) ? 1 : 0;
    return index < 2 * this.dataPairs + control ? this.queues[index] : undefined;
  }

  /** Configuration space (virtio 1.2, 5.1.4): mac, status, max_virtqueue_pairs with MQ, mtu, each with all before it. */
  get config(): Buffer {
    const bytes = Buffer.alloc(12);
    this.mac.copy(bytes);
    bytes.writeUInt16LE(this.linkUp ? 1 : 0, 6);
    bytes.writeUInt16LE(this.queuePairs, 8);
    bytes.writeUInt16LE(this.mtu, 10);
    if (has(this.offered, VIRTIO_NET_F_MTU)) return bytes;
    return bytes.subarray(0, has(this.offered, VIRTIO_NET_F_MQ) ? 10 : 8);
  }

  /** Tells the back-end of every pair whether it is in use (virtio_net_set_queue_pairs). */
  async setActivePairs(pairs: number): Promise<void> {
    this.activePairs = pairs;
    for (let pair = 0; pair < this.queuePairs; pair++) await this.#o.backend.enablePair(pair, pair < pairs);
  }

  /** The guest's command to use another number of pairs. @returns whether it is carried out */
  async changePairs(pairs: number): Promise<boolean> {
    if (pairs < 1 || pairs > this.dataPairs || !this.#o.changesPairs()) return false;
    if (pairs > this.activePairs && !this.#o.followsMorePairs()) this.activePairs = pairs;
    else await this.setActivePairs(pairs);
    return true;
  }

  /** The guest writes the device status. */
  async setStatus(status: number): Promise<void> {
    if (status === 0) return this.reset();
    if ((status & FEATURES_OK) !== 0 && (this.status & FEATURES_OK) === 0) {
      this.accepted = this.driverFeatures & this.offered;
      for (const queue of this.queues) queue.begin(has(this.accepted, VIRTIO_F_RING_PACKED) ? 'packed' : 'split');
      this.status = status;
      await this.setActivePairs(this.activePairs);
    }
    this.status = status;
    await this.#update();
  }

  /** Device reset: by the guest, or with the machine. */
  async reset(): Promise<void> {
    this.status = 0;
    await this.#update();
    for (const queue of this.queues) queue.reset();
    this.driverFeatures = 0n;
    this.accepted = 0n;
    this.acknowledge(this.isr);
    await this.setActivePairs(1);
  }

  /** The virtual machine stops or goes on. */
  async setRunning(running: boolean): Promise<void> {
    this.#running = running;
    await this.#update();
  }

  /** The link as the guest shall see it. */
  setLink(up: boolean): void {
    if (up === this.linkUp) return;
    this.linkUp = up;
    this.generation++;
    if ((this.status & DRIVER_OK) !== 0) this.interrupt(ISR_CONFIG);
  }

  /** The back-end came or went: the rings follow. */
  async setBackend(present: boolean): Promise<void> {
    this.#present = present;
    await this.#update();
    if (!present && (this.status & DRIVER_OK) !== 0) for (const queue of this.queues) this.#dropTx(queue);
  }

  /** The guest made buffers available on a queue. */
  async notify(index: number): Promise<void> {
    const queue = this.queue(index);
    if (!queue?.ready) return;
    if (index === 2 * this.dataPairs) {
      const eventIdx = has(this.accepted, VIRTIO_RING_F_EVENT_IDX);
      if (await runControlQueue(this, queue.open(this.#o.ram, queue.base, eventIdx), queue)) this.interrupt(ISR_RING);
    } else if (queue.kick) {
      if (queue.isTx) this.#unlessBroken(queue, () => this.#tamper.look(queue));
      if (this.#o.forwardsKick()) queue.kick.signal();
    } else this.#dropTx(queue);
  }

  /** Raises interrupt causes. */
  interrupt(causes: number = ISR_RING): void {
    const before = this.isr;
    this.isr |= causes;
    if (before === 0) this.#o.interruptLine(true);
  }

  /** The guest has seen these causes. */
  acknowledge(causes: number): void {
    const before = this.isr;
    this.isr &= ~causes;
    if (before !== 0 && this.isr === 0) this.#o.interruptLine(false);
  }

  /** virtio_net_vhost_status: starts or stops the back-end when what decides about it changed. */
  async #update(): Promise<void> {
    const wanted = this.#present && this.#running && (this.status & DRIVER_OK) !== 0;
    if (wanted === this.started) return;
    if (wanted) {
      this.started = await this.#o.backend.start(this);
    } else {
      this.started = false;
      await this.#o.backend.stop(this);
    }
  }

  /** What QEMU does with packets while no back-end takes them: completes them, unsent (virtio_net_drop_tx_queue_data). */
  #dropTx(queue: Virtqueue): void {
    if (!queue.isTx || !queue.ready) return;
    this.#unlessBroken(queue, () => {
      const ring = queue.open(this.#o.ram);
      const chains = ring.popAll();
      if (chains.length === 0) return;
      for (const chain of chains) ring.push(chain, 0);
      ring.publish();
      if (!this.#o.takesOverUsed) queue.setUsed(this.#o.ram, chains.length);
      queue.base = ring.base;
      queue.shown = undefined;
      if (ring.needsCall()) this.interrupt(ISR_RING);
    });
  }

  /** A ring whose indices make no sense is complained about and left alone, as virtio_error does. */
  #unlessBroken(queue: Virtqueue, use: () => void): void {
    try {
      use();
    } catch (error) {
      if (!(error instanceof VirtioError)) throw error;
      complain(`virtio-net: queue ${queue.index}: ${error.message}`);
    }
  }
}
