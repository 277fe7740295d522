import type { GuestBus } from './guest-bus.js';
import { MmioTransport } from './mmio-transport.js';
import { PciFunction } from './pci-function.js';
import { PciTransport } from './pci-transport.js';
import type { Transport } from './transport.js';

/** Machine types the driver knows its way around in. */
export type MachineName = 'q35' | 'pc' | 'microvm';

/** What differs between machines. */
export interface Machine {
  /** Finds the device and does what firmware would have done. @throws DriverError */
  locate(bus: GuestBus): Promise<Transport>;
  /** Whether an input line of the I/O APIC may be the device's; the others are timers. */
  interrupts(line: number): boolean;
  /** Lets go of the device that is to be removed, as a guest's ACPI does; absent where the machine does it another way. */
  eject?(bus: GuestBus): Promise<void>;
}

/** The interrupt controller whose inputs are watched, by its QOM name; the same in all three machines. */
export const IOAPIC = 'ioapic';

/** PIIX3's routing registers PIRQRC[A:D], one byte each, at its function 0 in slot 1 (hw/isa/piix3.c). */
const PIIX3_SLOT = 1;
const PIIX3_PIRQRC = 0x60;
/** INTx of PCI slots goes to these ISA interrupts, as SeaBIOS has it: A and B to 10, C and D to 11. */
const PIIX3_ROUTES = 0x0b0b0a0a;
const PIIX3_LINES = [10, 11];

/** ACPI's PCI hotplug on pc: the register whose bits eject slots (docs/specs/acpi_pci_hotplug, hw/acpi/pcihp.c). */
const ACPI_PCI_EJECT = 0xae08;

/** From here on the I/O APIC's inputs are no ISA interrupts: q35 has INTx there, microvm virtio-mmio. */
const FIRST_NON_ISA = 16;

export const machines: Readonly<Record<MachineName, Machine>> = {
  q35: { locate: (bus) => PciTransport.locate(bus), interrupts: (line) => line >= FIRST_NON_ISA },
  pc: {
    async locate(bus) {
      const [transport] = await Promise.all([
        PciTransport.locate(bus),
        new PciFunction(bus, PIIX3_SLOT).write(PIIX3_PIRQRC, PIIX3_ROUTES),
      ]);
      return transport;
    },
    interrupts: (line) => PIIX3_LINES.includes(line),
    eject: async (bus) => bus.outl(ACPI_PCI_EJECT, 1 << (await PciTransport.slot(bus))),
  },
  microvm: { locate: (bus) => MmioTransport.locate(bus), interrupts: (line) => line >= FIRST_NON_ISA },
};
