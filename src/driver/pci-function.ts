import type { GuestBus } from './guest-bus.js';

/** Configuration mechanism #1 (PCI Local Bus 3.0, 3.2.2.3.2). */
const CONFIG_ADDRESS = 0xcf8;
const CONFIG_DATA = 0xcfc;
const ENABLE = 0x80000000;

/** Registers of the configuration header. */
export const PCI_ID = 0x00;
export const PCI_COMMAND = 0x04;
export const PCI_BAR0 = 0x10;
export const PCI_CAPABILITIES = 0x34;

/** PCI_COMMAND bits: answer to memory accesses, access memory. INTx stays enabled. */
export const COMMAND_MEMORY = 2;
export const COMMAND_MASTER = 4;

/** Slots of a bus. */
export const PCI_SLOTS = 32;

/** Function 0 of a slot on bus 0. Offsets are multiples of 4. */
export class PciFunction {
  readonly #bus: GuestBus;

  constructor(
    bus: GuestBus,
    readonly slot: number,
  ) {
    this.#bus = bus;
  }

  read(offset: number): Promise<number> {
    const selected = this.#select(offset);
    const value = this.#bus.inl(CONFIG_DATA);
    return Promise.all([value, selected]).then(([read]) => read);
  }

  async write(offset: number, value: number): Promise<void> {
    await Promise.all([this.#select(offset), this.#bus.outl(CONFIG_DATA, value)]);
  }

  #select(offset: number): Promise<void> {
    return this.#bus.outl(CONFIG_ADDRESS, ENABLE + (this.slot << 11) + offset);
  }
}
