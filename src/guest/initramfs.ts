import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { type CpioEntry, cpio } from './cpio.js';

/** A kernel module, unpacked. */
export interface Module {
  /** File name, ending with `.ko`. */
  name: string;
  content: Buffer;
}

/** The guest's first program, for busybox's shell. */
const INIT = readFileSync(new URL('./init.sh', import.meta.url));
/** What init expects to be there. */
const FOLDERS = ['bin', 'dev', 'modules', 'proc', 'run', 'sys'];

/**
 * The guest's file system, gzipped: busybox, the modules, and an init that loads them, brings up every NIC and pings.
 * @param busybox a busybox that is linked statically
 * @param modules in the order in which they are to be loaded
 */
export function initramfs({ busybox, modules }: { busybox: Buffer; modules: readonly Module[] }): Buffer {
  const entries: CpioEntry[] = [
    ...FOLDERS.map((path) => ({ path, kind: 'directory' }) as const),
    { path: 'init', kind: 'file', content: INIT, executable: true },
    { path: 'bin/busybox', kind: 'file', content: busybox, executable: true },
    ...modules.map(({ name, content }) => ({ path: `modules/${name}`, kind: 'file', content }) as const),
    { path: 'modules/order', kind: 'file', content: Buffer.from(modules.map(({ name }) => `${name}\n`).join('')) },
  ];
  return gzipSync(cpio(entries), { level: 6 });
}
