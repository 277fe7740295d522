import {
  DESC_F_WRITE,
  encodeDescriptors,
  encodeHeads,
  RING_IDX,
  type SplitLayout,
  splitLayout,
} from '../../../src/virtio/index.js';
import { bit } from '../../../src/wire/index.js';
import type { RunningTwin } from './tester.js';

/** The last slot of microvm with ioapic2=off. */
const DEVICE = 0xfeb0_0000 + 512 * 7;
export const QUEUE_SIZE = 64;
const BUFFER = 2048;
/** MAC, MRG_RXBUF, STATUS, CTRL_VQ, MQ, VERSION_1. */
export const ACCEPTED = [5, 15, 16, 17, 22, 32].reduce((sum, n) => sum | bit(n), 0n);

const hex = (value: number | bigint): string => `0x${value.toString(16)}`;

interface Queue {
  index: number;
  base: number;
  layout: SplitLayout;
  next: number;
}

/** A guest driver in a few lines: virtio-mmio through qtest, one queue after the other at fixed places in RAM. */
export class TinyGuest {
  readonly #twin: RunningTwin;
  readonly queues: Queue[];
  features = 0n;

  constructor(twin: RunningTwin, pairs = 1) {
    this.#twin = twin;
    const layout = splitLayout(QUEUE_SIZE);
    this.queues = Array.from({ length: 2 * pairs + 1 }, (_, index) => ({
      index,
      base: 0x20_0000 + 0x1_0000 * index,
      layout,
      next: 0,
    }));
  }

  async command(line: string): Promise<string> {
    const answer = await (await this.#twin.qtest).ask(line);
    if (!answer.startsWith('OK')) throw new Error(answer);
    return answer.slice(3);
  }

  async read(register: number): Promise<number> {
    return Number(await this.command(`readl ${hex(DEVICE + register)}`));
  }

  async write(register: number, value: number | bigint): Promise<void> {
    await this.command(`writel ${hex(DEVICE + register)} ${hex(value)}`);
  }

  /** From reset to DRIVER_OK. */
  async start(): Promise<void> {
    await this.command('irq_intercept_in ioapic');
    await this.write(0x70, 0);
    await this.write(0x70, 3);
    let offered = 0n;
    for (const word of [0, 1]) {
      await this.write(0x14, word);
      offered |= BigInt(await this.read(0x10)) << BigInt(32 * word);
    }
    this.features = offered & ACCEPTED;
    for (const word of [0, 1]) {
      await this.write(0x24, word);
      await this.write(0x20, (this.features >> BigInt(32 * word)) & 0xffff_ffffn);
    }
    await this.write(0x70, 11);
    for (const queue of this.queues) await this.#setUp(queue);
    await this.write(0x70, 15);
  }

  async #setUp({ index, base, layout }: Queue): Promise<void> {
    await this.command(`memset ${hex(base)} ${hex(layout.length)} 0x0`);
    await this.write(0x30, index);
    await this.write(0x38, QUEUE_SIZE);
    for (const [register, part] of [
      [0x80, 'desc'],
      [0x90, 'avail'],
      [0xa0, 'used'],
    ] as const)
      await this.command(`writeq ${hex(DEVICE + register)} ${hex(base + layout[part])}`);
    await this.write(0x44, 1);
    if (index % 2 === 0 && index < this.queues.length - 1)
      for (let i = 0; i < 8; i++)
        await this.#offer(this.queues[index]!, [{ bytes: Buffer.alloc(BUFFER), writable: true }]);
  }

  /** Makes frames available on a TX queue with one kick. */
  async transmit(index: number, frames: readonly Buffer[]): Promise<void> {
    for (const bytes of frames) await this.#offer(this.queues[index]!, [{ bytes, writable: false }]);
    await this.write(0x50, index);
  }

  /** A command on the control queue. @returns the device's answer */
  async control(command: Buffer): Promise<number> {
    const queue = this.queues.at(-1)!;
    await this.#offer(queue, [
      { bytes: command, writable: false },
      { bytes: Buffer.of(0xff), writable: true },
    ]);
    await this.write(0x50, queue.index);
    const at = this.#buffer(queue, queue.next - 1) + BUFFER / 2;
    return Buffer.from(await this.command(`b64read ${hex(at)} 0x1`), 'base64')[0]!;
  }

  async usedIdx(index: number): Promise<number> {
    const { base, layout } = this.queues[index]!;
    return Number(await this.command(`readw ${hex(base + layout.used + RING_IDX)}`));
  }

  async usedFlags(index: number): Promise<number> {
    const { base, layout } = this.queues[index]!;
    return Number(await this.command(`readw ${hex(base + layout.used)}`));
  }

  /** A chain of one or two buffers, at the queue's next index. */
  async #offer(queue: Queue, parts: readonly { bytes: Buffer; writable: boolean }[]): Promise<void> {
    const { base, layout } = queue;
    const slot = queue.next % (QUEUE_SIZE / 2);
    const buffer = this.#buffer(queue, queue.next);
    const descriptors = [];
    for (const [i, { bytes, writable }] of parts.entries()) {
      const addr = buffer + (i * BUFFER) / 2;
      await this.command(`b64write ${hex(addr)} ${hex(bytes.length)} ${bytes.toString('base64')}`);
      const flags = (writable ? DESC_F_WRITE : 0) | (i + 1 < parts.length ? 1 : 0);
      descriptors.push({ addr: BigInt(addr), length: bytes.length, flags, next: 2 * slot + i + 1 });
    }
    const table = encodeDescriptors(descriptors).toString('base64');
    await this.command(`b64write ${hex(base + layout.desc + 32 * slot)} ${hex(16 * parts.length)} ${table}`);
    const head = encodeHeads([2 * slot]).toString('base64');
    await this.command(`b64write ${hex(base + layout.avail + 4 + 2 * (queue.next % QUEUE_SIZE))} 0x2 ${head}`);
    queue.next++;
    await this.command(`writew ${hex(base + layout.avail + RING_IDX)} ${hex(queue.next & 0xffff)}`);
  }

  #buffer(queue: Queue, n: number): number {
    return 0x100_0000 + 0x10_0000 * queue.index + BUFFER * (n % (QUEUE_SIZE / 2));
  }

  /** The link bit of the configuration space. */
  async linkUp(): Promise<boolean> {
    return ((await this.read(0x104)) & 0x1_0000) !== 0;
  }

  /** How often the configuration space has changed. */
  configGeneration(): Promise<number> {
    return this.read(0xfc);
  }

  /** What was told of interrupt lines. */
  async interruptLines(): Promise<string[]> {
    return (await this.#twin.qtest).aside;
  }

  /** Reads and acknowledges the interrupt causes. */
  async interrupts(): Promise<number> {
    const causes = await this.read(0x60);
    await this.write(0x64, causes);
    return causes;
  }
}
