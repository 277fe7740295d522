import { macText } from '../switch/index.js';
import type { Hex, Ms, Recorder } from '../timeline/index.js';
import { controlQueueIndex, type NetConfig, netConfigSize, parseNetConfig } from '../virtio/index.js';
import {
  bit,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_VERSION_1,
  VIRTIO_NET_F_CTRL_VQ,
  VIRTIO_NET_F_MQ,
  VIRTIO_NET_F_MRG_RXBUF,
  VIRTIO_NET_F_MTU,
  VIRTIO_NET_F_STATUS,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
} from '../wire/index.js';
import { DriverError } from './driver-error.js';
import type { FrameShape } from './frame.js';
import type { GuestBus } from './guest-bus.js';
import { IOAPIC, type Machine, type MachineName, machines } from './machine.js';
import { NetDevice } from './net-device.js';
import { type PersonalityName, personalities } from './personality.js';
import { ISR_CONFIG, type Transport } from './transport.js';
import type { TxQueue } from './tx-queue.js';

/** Device status bits (virtio 1.2, 2.1). */
const ACKNOWLEDGE = 1;
const DRIVER = 2;
const DRIVER_OK = 4;
const FEATURES_OK = 8;
const NEEDS_RESET = 64;
/** What reads where no device is mapped. */
const NOBODY = 0xff;

/** Linux and QEMU both use 256 unless told otherwise; more would only cost memory. */
const MAX_RING_SIZE = 256;

/** With a control queue; a device of QEMU's has up to 1024 queues (include/hw/virtio/virtio.h, VIRTIO_QUEUE_MAX). */
const MAX_PAIRS = 511;

/** How one start of the driver differs from what the options say. */
export interface StartChoice {
  /** Feature bits that it declines although its personality accepts them, as a mask. */
  decline?: bigint;
  /** Queue pairs to use. */
  pairs?: number;
  /** How frames lie in buffers; whole when absent. */
  frame?: FrameShape;
  /** Descriptors of each ring, a power of two up to what the device has; as many as Linux takes when absent. */
  ringSize?: number;
}

/** What a driver drives, and as what. */
export interface DriverOptions {
  bus: GuestBus;
  recorder: Recorder;
  machine: MachineName;
  /** Queue pairs to use. */
  pairs: number;
  personality: PersonalityName;
  /** Guest RAM in bytes. */
  memory: number;
}

const hex = (value: bigint): Hex => `0x${value.toString(16)}`;
const has = (features: bigint, number: number): boolean => (features & bit(number)) !== 0n;

/**
 * A guest's virtio-net driver without a guest: it brings QEMU's device up over the bus, moves packets and serves
 * interrupts. What it does and sees is recorded as `driver.*` and `packets.*`; who waits for packets listens there.
 */
export class Driver {
  readonly #o: DriverOptions;
  readonly #machine: Machine;
  readonly #unlisten: () => void;
  #transport: Transport | undefined;
  #device: NetDevice | undefined;
  /** The features accepted in the device's current life. */
  #features = 0n;
  /** Lives of the device so far. */
  #lives = 0;
  #link: boolean | undefined;
  /** What the device offered at the last start. */
  #offered = 0n;
  /** Rings and interrupt status are to be looked at (again). */
  #wanted = false;
  #polling: Promise<void> | undefined;
  /** When the interrupt line rose: while it is up, and what it was when it fell last. */
  #rose: Ms | undefined;
  #served: Ms | undefined;

  constructor(options: DriverOptions) {
    this.#o = options;
    this.#machine = machines[options.machine];
    this.#unlisten = options.bus.onIrq((line, raised) => {
      if (!this.#machine.interrupts(line)) return;
      if (!raised) this.#served = this.#rose;
      this.#rose = raised ? options.recorder.now() : undefined;
      if (raised && this.#device) this.poll().catch((error) => this.#broken(error));
    });
    // Who waits for an interrupt has no command under way that would fail.
    void options.bus.lost.then((reason) => this.#device?.end(reason));
  }

  /**
   * Initialises the device as virtio 1.2, 3.1.1 has it, from finding it to DRIVER_OK and the number of pairs. Whatever was
   * running before is void. @throws DriverError, or the bus's error
   */
  async start({
    decline = 0n,
    pairs = this.#o.pairs,
    frame = 'whole',
    ringSize = MAX_RING_SIZE,
  }: StartChoice = {}): Promise<void> {
    this.#end(new DriverError('ERR_NOT_RUNNING', 'the driver was started anew', 'what was in flight is lost'));
    const { bus, recorder } = this.#o;
    const transport = await this.#machine.locate(bus);
    this.#transport = transport;
    const [, , , , offered] = await Promise.all([
      bus.interceptIrq(IOAPIC),
      this.#writeZero(transport),
      transport.setStatus(ACKNOWLEDGE),
      transport.setStatus(ACKNOWLEDGE | DRIVER),
      transport.offeredFeatures(),
    ]);
    this.#features = this.#choose(offered & ~decline);
    this.#offered = offered;
    const netConfig = await this.#readConfig(transport);
    const device = await this.#negotiate(transport, offered, netConfig.maxPairs, { pairs, frame, ringSize });
    this.#device = device;
    await Promise.all([device.setUp(), transport.setStatus(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK)]);
    recorder.record({
      type: 'driver.ready',
      pairs,
      ...(has(this.#features, VIRTIO_F_RING_PACKED) ? { layout: 'packed' as const } : {}),
      rings: device.places.map(({ index, size, desc, avail, used }) => ({
        index,
        size,
        desc: hex(desc),
        avail: hex(avail),
        used: hex(used),
      })),
    });
    await Promise.all([
      device.kickRx(),
      this.link(),
      has(this.#features, VIRTIO_NET_F_MQ) ? device.setPairs() : undefined,
    ]);
  }

  /** Resets the device: it stops, and what was in flight is lost. @throws DriverError, or the bus's error */
  async reset(): Promise<void> {
    const reason = new DriverError('ERR_NOT_RUNNING', 'the device was reset', 'what was in flight is lost');
    this.#end(reason);
    if (!this.#transport) throw new DriverError('ERR_NOT_RUNNING', 'nothing to reset', 'start the driver first');
    await this.#writeZero(this.#transport);
  }

  /**
   * Resets the device and lets go of it, as a guest does when it is told that the device is to be removed. The next start
   * finds another. @throws DriverError when the machine has no such way, or nothing runs; or the bus's error
   */
  async eject(): Promise<void> {
    if (!this.#machine.eject)
      throw new DriverError('ERR_DEVICE', `no way to eject a device on ${this.#o.machine}`, 'machine pc has one');
    await this.reset();
    this.#transport = undefined;
    // Its link goes with it.
    this.#link = undefined;
    await this.#machine.eject(this.#o.bus);
  }

  /**
   * Has the device use so many of the pairs that were set up at the start. @throws DriverError when the driver does not run,
   * or the device refuses; or the bus's error
   */
  async setPairs(pairs: number): Promise<void> {
    const device = this.#device;
    if (!device) throw new DriverError('ERR_NOT_RUNNING', 'no device to use queue pairs of', 'start the driver first');
    this.#o.recorder.record({ type: 'driver.pairs', pairs });
    await device.setPairs(pairs);
    this.#o.recorder.record({ type: 'driver.pairs', pairs, answered: true });
  }

  /** Ends without touching the device: its machine is being reset. What was in flight is lost. */
  abandon(): void {
    this.#end(new DriverError('ERR_NOT_RUNNING', 'the machine was reset', 'what was in flight is lost'));
  }

  /** Whether the driver has a device that it set up. */
  get running(): boolean {
    return this.#device !== undefined;
  }

  /** Reads the guest-visible link bit now; undefined when the device does not run or has no such bit. */
  async link(): Promise<boolean | undefined> {
    if (!this.#transport || !this.#device || !has(this.#features, VIRTIO_NET_F_STATUS)) return undefined;
    const { linkUp } = await this.#readConfig(this.#transport);
    if (linkUp !== this.#link) this.#o.recorder.record({ type: 'driver.link', up: linkUp });
    this.#link = linkUp;
    return linkUp;
  }

  /** Reads the configuration space and records what it says, but for the link, when it is new. */
  async #readConfig(transport: Transport): Promise<NetConfig> {
    const read = parseNetConfig(await transport.config(netConfigSize(has(this.#offered, VIRTIO_NET_F_MTU))));
    const { mac, maxPairs, mtu, announce } = read;
    const config = {
      mac: macText(mac),
      ...(has(this.#offered, VIRTIO_NET_F_MQ) ? { pairs: maxPairs } : {}),
      ...(mtu === undefined ? {} : { mtu }),
      ...(has(this.#offered, VIRTIO_NET_F_STATUS) && announce ? { announce } : {}),
    };
    const last = this.#o.recorder.latest('driver.config');
    if (!last || (['mac', 'pairs', 'mtu', 'announce'] as const).some((key) => last[key] !== config[key]))
      this.#o.recorder.record({ type: 'driver.config', ...config });
    return read;
  }

  /** Records that the device asks for a reset, if it does. */
  async #needsReset(): Promise<void> {
    const status = (await this.#transport?.status()) ?? 0;
    if ((status & NEEDS_RESET) !== 0) this.#o.recorder.record({ type: 'driver.needs-reset' });
  }

  /**
   * Transmits `count` packets on a pair, numbered from `first`. Resolves when all are on the ring and the device was told;
   * until then it waits for room. @throws DriverError when the driver does not run or is reset, or the bus's error
   */
  async transmit(pair: number, first: number, count: number): Promise<void> {
    await this.#tx(pair).send(first, count);
  }

  /** How many packets can be transmitted on a pair without waiting; 0 when the driver does not run. */
  room(pair: number): number {
    return this.#device?.tx[pair]?.free ?? 0;
  }

  /**
   * Notifies the device of a pair's TX ring so many times in a row, whatever there is on it.
   * @throws DriverError when the driver does not run
   */
  async kick(pair: number, times: number): Promise<void> {
    await this.#tx(pair).ring.kick(times);
  }

  /**
   * Serves the interrupt status and every ring; runs by itself at every interrupt. Without a running device it does
   * nothing; once a ring made no sense it serves the interrupt status only. @throws the bus's error
   */
  poll(): Promise<void> {
    this.#wanted = true;
    this.#polling ??= this.#serve();
    return this.#polling;
  }

  /** Packets received intact on a pair since the last start. */
  received(pair: number): number {
    return this.#device?.rx[pair]?.received ?? 0;
  }

  /** Packets transmitted on a pair since the last start that came back as used. */
  completed(pair: number): number {
    return this.#device?.tx[pair]?.completed ?? 0;
  }

  /** Lets go of the bus; the device is left as it is. */
  close(): void {
    this.#unlisten();
    this.#end(new DriverError('ERR_NOT_RUNNING', 'the driver was closed', 'nothing more can be sent'));
  }

  #tx(pair: number): TxQueue {
    const queue = this.#device?.tx[pair];
    if (!queue) throw new DriverError('ERR_NOT_RUNNING', `pair ${pair} is not running`, 'start the driver first');
    return queue;
  }

  /** Status 0, which must read back (virtio 1.2, 2.1.2). */
  async #writeZero(transport: Transport): Promise<void> {
    this.#o.recorder.record({ type: 'driver.reset' });
    const [, status] = await Promise.all([transport.setStatus(0), transport.status()]);
    if (status === NOBODY) throw new DriverError('ERR_DEVICE', 'no device answers any more', 'was the machine reset?');
    if (status !== 0) throw this.#wrong(`status ${status} after a reset`, 'QEMU completes it at once');
  }

  /** What to accept of `offered`. MQ goes with the control queue only (5.1.3.1). @throws DriverError for a legacy device */
  #choose(offered: bigint): bigint {
    let accepted = offered & personalities[this.#o.personality].accepts;
    if (!has(accepted, VIRTIO_NET_F_CTRL_VQ)) accepted &= ~bit(VIRTIO_NET_F_MQ);
    if (!has(accepted, VIRTIO_F_VERSION_1))
      throw new DriverError(
        'ERR_DEVICE',
        'the device does not offer VERSION_1',
        'the driver is for modern devices only',
      );
    return accepted;
  }

  /** Features and queues, up to but without enabling these. @throws DriverError */
  async #negotiate(
    transport: Transport,
    offered: bigint,
    maxPairs: number,
    { pairs, frame, ringSize }: Required<Omit<StartChoice, 'decline'>>,
  ): Promise<NetDevice> {
    const { bus, recorder, memory } = this.#o;
    const accepted = this.#features;
    const mergeable = has(accepted, VIRTIO_NET_F_MRG_RXBUF);
    if (frame === 'halves' && !mergeable)
      throw new DriverError(
        'ERR_DEVICE',
        'the device does not offer VIRTIO_NET_F_MRG_RXBUF, or it was declined',
        'frames in halves need a device that merges buffers',
      );
    const devicePairs = has(accepted, VIRTIO_NET_F_MQ) ? maxPairs : 1;
    if (devicePairs < 1 || devicePairs > MAX_PAIRS)
      throw new DriverError(
        'ERR_DEVICE',
        `the device claims ${devicePairs} queue pairs`,
        `a virtio device of QEMU's has at most ${MAX_PAIRS}`,
      );
    if (pairs > devicePairs)
      throw new DriverError(
        'ERR_DEVICE',
        `the device has ${devicePairs} queue pairs, not ${pairs}`,
        'mq=on, queues=N?',
      );
    const control = has(accepted, VIRTIO_NET_F_CTRL_VQ) ? controlQueueIndex(devicePairs) : undefined;
    const count = control === undefined ? 2 * devicePairs : control + 1;
    const [status, sizes] = await Promise.all([
      Promise.all([
        transport.acceptFeatures(accepted),
        transport.setStatus(ACKNOWLEDGE | DRIVER | FEATURES_OK),
        transport.status(),
      ]).then(([, , read]) => read),
      Promise.all(Array.from({ length: count }, (_, index) => transport.queueMax(index))),
    ]);
    if ((status & DRIVER) === 0)
      throw new DriverError('ERR_DEVICE', 'the device was reset while it was set up', 'was the machine reset?');
    if ((status & FEATURES_OK) === 0)
      throw this.#wrong(`the device refuses the features ${hex(accepted)}, which it offers`, 'see QEMU stderr');
    recorder.record({ type: 'driver.features', offered: hex(offered), accepted: hex(accepted) });
    const missing = sizes.indexOf(0);
    if (missing >= 0)
      throw this.#wrong(`the device has no queue ${missing}, and claims ${devicePairs} pairs`, 'mq=on, queues=N?');
    const usable = sizes.map((size) => Math.min(size, ringSize));
    return new NetDevice(
      {
        sizes: usable.slice(0, 2 * devicePairs),
        pairs,
        frame,
        memory,
        life: this.#lives++,
        ...(control === undefined ? {} : { control: { index: control, size: usable[control]! } }),
      },
      {
        bus,
        transport,
        recorder,
        layout: has(accepted, VIRTIO_F_RING_PACKED) ? 'packed' : 'split',
        eventIdx: has(accepted, VIRTIO_RING_F_EVENT_IDX),
        indirect: has(accepted, VIRTIO_RING_F_INDIRECT_DESC),
        mergeable,
      },
    );
  }

  async #serve(): Promise<void> {
    try {
      while (this.#wanted) {
        this.#wanted = false;
        await this.#serveOnce();
      }
    } finally {
      this.#polling = undefined;
    }
  }

  /** The status first, then the rings: what is used after its ring was looked at raises the line again. */
  async #serveOnce(): Promise<void> {
    const device = this.#device;
    if (!device || !this.#transport) return;
    const isr = await this.#transport.acknowledge();
    if (device !== this.#device) return;
    // QEMU tells of the line that falls by the acknowledgement before it answers this.
    const raised = this.#served;
    this.#served = undefined;
    if (isr !== 0)
      this.#o.recorder.record({ type: 'driver.interrupt', isr, ...(raised === undefined ? {} : { raised }) });
    await Promise.all([device.drain(), ...(isr & ISR_CONFIG ? [this.link(), this.#needsReset()] : [])]);
  }

  /** Nobody awaits what an interrupt starts: what the bus says is told as trouble, a dead QEMU tells itself. */
  #broken(error: unknown): void {
    if (!(error instanceof Error && 'code' in error)) throw error;
    if (!this.#device || !this.#o.bus.connected) return;
    this.#o.recorder.record({ type: 'tester.trouble', what: `driver: ${error.message}` });
    this.#end(error);
  }

  /** Records that the device cannot be brought up, against the rules. @returns the error to throw */
  #wrong(what: string, hint: string): DriverError {
    this.#o.recorder.record({ type: 'driver.broken', rule: 'device', what });
    return new DriverError('ERR_DEVICE', what, hint);
  }

  #end(reason: Error): void {
    this.#device?.end(reason);
    this.#device = undefined;
  }
}
