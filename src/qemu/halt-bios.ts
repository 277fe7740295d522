const SIZE = 0x10000;
const HLT = 0xf4;
/** The CPU's first instruction, 16 bytes below 4 GiB, where the end of the BIOS is mapped. */
const RESET_VECTOR = 0xfff0;

/**
 * A 64 KiB BIOS that halts: `cli; hlt; jmp -3`. With it a machine runs (vhost works only while the VM runs) and takes no
 * CPU time, and no firmware or guest has to be installed.
 */
export function haltBios(): Buffer {
  const bios = Buffer.alloc(SIZE, HLT);
  Buffer.from([0xfa, HLT, 0xeb, 0xfd]).copy(bios, RESET_VECTOR);
  return bios;
}
