import type { Socket } from 'node:net';
import { LineClient } from './line-client.js';
import { QemuError } from './qemu-error.js';

/** Width of a memory access in qtest's letters: 1, 2, 4 or 8 bytes. */
export type AccessSize = 'b' | 'w' | 'l' | 'q';

/** Called with the input line of the intercepted interrupt controller and its new level. */
export type IrqListener = (line: number, raised: boolean) => void;

const hex = (value: number | bigint) => `0x${value.toString(16)}`;

/**
 * Client of the qtest server: port, memory and interrupt access from outside the guest (QEMU's softmmu/qtest.c). Addresses
 * are guest-physical; accesses to device registers are as wide as asked. Commands are carried out in the order of the
 * calls, also when nobody awaits the first before making the second.
 */
export class QtestClient extends LineClient<string> {
  readonly #irqListeners = new Set<IrqListener>();
  #lose = (_error: QemuError) => {};
  /** Resolves, never rejects, with the reason when the connection is lost. */
  readonly lost: Promise<QemuError>;

  /** Takes over a connected socket. */
  constructor(socket: Socket) {
    super(socket);
    this.lost = new Promise((resolve) => {
      this.#lose = resolve;
    });
  }

  async inl(port: number): Promise<number> {
    return Number(parse(await this.send(`inl ${hex(port)}`)));
  }

  outl(port: number, value: number): Promise<void> {
    return this.#done(`outl ${hex(port)} ${hex(value)}`);
  }

  async readMem(size: AccessSize, addr: bigint): Promise<bigint> {
    return parse(await this.send(`read${size} ${hex(addr)}`));
  }

  writeMem(size: AccessSize, addr: bigint, value: bigint): Promise<void> {
    return this.#done(`write${size} ${hex(addr)} ${hex(value)}`);
  }

  /** @param length at least 1 */
  async readBytes(addr: bigint, length: number): Promise<Buffer> {
    return Buffer.from(await this.send(`b64read ${hex(addr)} ${hex(length)}`), 'base64');
  }

  /** @param bytes at least one */
  writeBytes(addr: bigint, bytes: Buffer): Promise<void> {
    return this.#done(`b64write ${hex(addr)} ${hex(bytes.length)} ${bytes.toString('base64')}`);
  }

  /** Sets `length` bytes to `byte`. */
  fill(addr: bigint, length: number, byte: number): Promise<void> {
    return this.#done(`memset ${hex(addr)} ${hex(length)} ${hex(byte)}`);
  }

  /**
   * Diverts the inputs of an interrupt controller to onIrq. QEMU can do so for one controller only; asking again for the
   * same one is fine. @param device its QOM path or a unique end of it, e.g. `ioapic`
   */
  interceptIrq(device: string): Promise<void> {
    return this.#done(`irq_intercept_in ${device}`);
  }

  /** Calls `listener` whenever a diverted line changes its level. @returns a function that ends it. */
  onIrq(listener: IrqListener): () => void {
    this.#irqListeners.add(listener);
    return () => this.#irqListeners.delete(listener);
  }

  protected override onLine(line: string): void {
    const [word, ...rest] = line.split(' ');
    if (word === 'OK') this.answer(rest[0] ?? '');
    else if (word === 'IRQ') for (const listener of this.#irqListeners) listener(Number(rest[1]), rest[0] === 'raise');
    else this.refuse(new QemuError('ERR_QTEST', `qtest: ${line}`, 'the command, an address or a device is wrong'));
  }

  protected override onLost(error: QemuError): void {
    this.#lose(error);
  }

  async #done(command: string): Promise<void> {
    await this.send(command);
  }
}

function parse(answer: string): bigint {
  if (!/^0x[0-9a-f]+$/i.test(answer))
    throw new QemuError('ERR_QEMU_PROTOCOL', `qtest: expected a number, got "${answer}"`, 'is this a qtest socket?');
  return BigInt(answer);
}
