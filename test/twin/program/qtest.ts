import type { LineSocket } from './line-socket.js';
import type { Mmio } from './mmio.js';
import type { Ram } from './ram.js';

const WIDTHS: Record<string, number> = { b: 1, w: 2, l: 4, q: 8 };

const number = (text: string | undefined): bigint => BigInt(text ?? '0');

/** The guest's accesses as QEMU's qtest server carries them out (softmmu/qtest.c): one line each, one answer each. */
export class Qtest {
  readonly #socket: LineSocket;
  readonly #ram: Ram;
  readonly #mmio: Mmio;
  #intercepts = false;

  constructor(socket: LineSocket, ram: Ram, mmio: Mmio) {
    this.#socket = socket;
    this.#ram = ram;
    this.#mmio = mmio;
  }

  /** Carries out one line and answers it. */
  async execute(line: string): Promise<void> {
    const [command = '', ...args] = line.trim().split(/ +/);
    const answer = await this.#carryOut(command, args);
    this.#socket.write(answer === undefined ? `FAIL Unknown command '${command}'` : `OK ${answer}`.trimEnd());
  }

  /** Tells of an interrupt line, once the tester asked for them. */
  interruptLine(pin: number, raised: boolean): void {
    if (this.#intercepts) this.#socket.write(`IRQ ${raised ? 'raise' : 'lower'} ${pin}`);
  }

  /** @returns what follows `OK`; undefined for an unknown command */
  async #carryOut(command: string, args: readonly string[]): Promise<string | undefined> {
    if (command.startsWith('irq_intercept_')) {
      this.#intercepts = true;
      return '';
    }
    const addr = number(args[0]);
    const length = Number(number(args[1]));
    const width = WIDTHS[command.at(-1) ?? ''];
    if (width && command === `read${command.at(-1)}`)
      return `0x${this.#load(addr, width).toString(16).padStart(16, '0')}`;
    if (width && command === `write${command.at(-1)}`) {
      await this.#store(addr, width, number(args[1]));
      return '';
    }
    switch (command) {
      // There is no PCI and no other port on this machine: reads are all ones.
      case 'inb':
      case 'inw':
      case 'inl':
        return `0x${'ff'.repeat(width!)}`;
      case 'outb':
      case 'outw':
      case 'outl':
        return '';
      case 'read':
        return `0x${this.#bytes(addr, length).toString('hex')}`;
      case 'b64read':
        return this.#bytes(addr, length).toString('base64');
      case 'write':
        this.#ram.write(addr, Buffer.from((args[2] ?? '').replace(/^0x/, ''), 'hex').subarray(0, length));
        return '';
      case 'b64write':
        this.#ram.write(addr, Buffer.from(args[2] ?? '', 'base64').subarray(0, length));
        return '';
      case 'memset':
        this.#ram.write(addr, Buffer.alloc(length, Number(number(args[2]))));
        return '';
      case 'endianness':
        return 'little';
    }
    return undefined;
  }

  #load(addr: bigint, width: number): bigint {
    if (this.#mmio.contains(addr)) return BigInt(this.#mmio.read(addr, width));
    return Buffer.concat([this.#ram.read(addr, width), Buffer.alloc(8 - width)]).readBigUInt64LE();
  }

  async #store(addr: bigint, width: number, value: bigint): Promise<void> {
    if (this.#mmio.contains(addr)) {
      // Registers are 32 bits wide: QEMU's memory core splits a wider access.
      await this.#mmio.write(addr, Number(BigInt.asUintN(32, value)));
      if (width === 8) await this.#mmio.write(addr + 4n, Number(BigInt.asUintN(64, value) >> 32n));
      return;
    }
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt.asUintN(64, value));
    this.#ram.write(addr, bytes.subarray(0, width));
  }

  /** A block read; of registers it is a row of 32-bit reads. */
  #bytes(addr: bigint, length: number): Buffer {
    if (!this.#mmio.contains(addr)) return this.#ram.read(addr, length);
    const bytes = Buffer.alloc(length);
    for (let i = 0; i < length; i++) bytes[i] = this.#mmio.read(addr + BigInt(i), 1);
    return bytes;
  }
}
