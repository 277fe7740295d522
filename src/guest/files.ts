import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GuestError } from './guest-error.js';
import { initramfs } from './initramfs.js';
import { guestModules } from './modules.js';

/** The files of which a guest is made. */
export interface GuestFiles {
  /** A bzImage. */
  kernel: string;
  /** A busybox that is linked statically. */
  busybox: string;
  /** Folder of the kernel's modules, `lib/modules/VERSION`; without it the kernel has built in all that is needed. */
  modules?: string;
}

/** The files in a folder as scripts/install-guest.sh makes it. */
export function guestFiles(folder: string): GuestFiles {
  return { kernel: join(folder, 'vmlinuz'), busybox: join(folder, 'busybox'), modules: join(folder, 'modules') };
}

/** Where a bzImage says what it is (Documentation/arch/x86/boot.rst, field "header"). */
const MAGIC_AT = 0x202;
const MAGIC = 'HdrS';

/**
 * Makes the initramfs of a guest.
 * @throws GuestError ERR_GUEST_FILES, ERR_GUEST_MODULE, ERR_GUEST_UNPACK
 */
export async function guestInitramfs({ kernel, busybox, modules }: GuestFiles): Promise<Buffer> {
  await demandKernel(kernel);
  return initramfs({
    busybox: await readFile(busybox).catch(unreadable('a busybox that is linked statically')),
    modules: modules === undefined ? [] : await guestModules(modules),
  });
}

async function demandKernel(path: string): Promise<void> {
  const file = await open(path).catch(unreadable('a kernel'));
  try {
    const { bytesRead, buffer } = await file.read(Buffer.alloc(MAGIC.length), 0, MAGIC.length, MAGIC_AT);
    if (buffer.toString('latin1', 0, bytesRead) !== MAGIC)
      throw new GuestError('ERR_GUEST_FILES', `${path} is no Linux kernel for x86`, 'give a bzImage, vmlinuz-VERSION');
  } finally {
    await file.close();
  }
}

const unreadable = (what: string) => (cause: unknown) => {
  throw new GuestError('ERR_GUEST_FILES', `${cause}`, `give ${what}; make guest fetches one`, { cause });
};
