import { writeSync } from 'node:fs';

/** Says something as QEMU says it. Written at once: the process may end with the next instruction. */
export function complain(text: string): void {
  writeSync(2, `qemu-system-x86_64: ${text}\n`);
}
