import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { GuestError } from './guest-error.js';
import type { Module } from './initramfs.js';

/** What the guest cannot do without, with what else brings up a NIC, where the kernel has it as a module. */
const NEEDED = ['virtio_net'];
const WANTED = ['virtio_pci', 'virtio_mmio', 'ipv6', 'af_packet'];

const MODULE_FILE = /^(.+)\.ko(?:\.(xz|zst|gz))?$/;
/** A module is far below this. */
const MAX_BYTES = 64 << 20;

/**
 * The modules that a guest with virtio NICs loads, each after those that it depends on. What the kernel has built in is not
 * among them.
 * @param folder of one kernel's modules, `lib/modules/VERSION`; depmod need not have been run in it
 * @throws GuestError ERR_GUEST_FILES, ERR_GUEST_MODULE, ERR_GUEST_UNPACK
 */
export async function guestModules(folder: string): Promise<Module[]> {
  const files = await moduleFiles(folder);
  const builtIn = await builtInModules(folder);
  const loaded = new Map<string, Module>();
  const add = async (name: string, need: boolean): Promise<void> => {
    if (loaded.has(name) || builtIn.has(name)) return;
    const path = files.get(name);
    if (path === undefined) {
      if (!need) return;
      throw new GuestError('ERR_GUEST_MODULE', `${folder} has no module ${name}`, 'give the modules of this kernel');
    }
    const content = await unpacked(path);
    for (const dependency of dependencies(content)) await add(dependency, true);
    loaded.set(name, { name: `${name}.ko`, content });
  };
  for (const name of WANTED) await add(name, false);
  for (const name of NEEDED) await add(name, true);
  return [...loaded.values()];
}

/** Names of modules, as the kernel has them, and their files. */
async function moduleFiles(folder: string): Promise<Map<string, string>> {
  const entries = await readdir(folder, { recursive: true }).catch((cause: unknown) => {
    throw new GuestError('ERR_GUEST_FILES', `cannot read ${folder}: ${cause}`, "give the folder of a kernel's modules");
  });
  return new Map(
    entries.flatMap((path) => {
      const name = MODULE_FILE.exec(basename(path))?.[1];
      return name === undefined ? [] : [[kernelName(name), join(folder, path)] as const];
    }),
  );
}

/** What modules.builtin lists; nothing where there is no such file. */
async function builtInModules(folder: string): Promise<Set<string>> {
  const text = await readFile(join(folder, 'modules.builtin'), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  return new Set(text.split('\n').map((path) => kernelName(basename(path, '.ko'))));
}

/** File names have dashes where the kernel has underscores. */
const kernelName = (name: string): string => name.replaceAll('-', '_');

/** By the words of the module's own section .modinfo, each ended by a NUL: `depends=virtio,virtio_ring`. */
function dependencies(content: Buffer): string[] {
  const start = content.indexOf('\0depends=', 0, 'latin1');
  if (start < 0) return [];
  const from = start + '\0depends='.length;
  const names = content.toString('latin1', from, content.indexOf(0, from));
  return names === '' ? [] : names.split(',').map(kernelName);
}

/** The bytes of a module, whatever it is compressed with. */
async function unpacked(path: string): Promise<Buffer> {
  const format = MODULE_FILE.exec(basename(path))?.[2];
  if (format === undefined) return readFile(path);
  if (format === 'gz') return gunzipSync(await readFile(path));
  const program = format === 'xz' ? 'xz' : 'zstd';
  try {
    const options = { encoding: 'buffer', maxBuffer: MAX_BYTES } as const;
    return (await promisify(execFile)(program, ['--decompress', '--stdout', '--quiet', path], options)).stdout;
  } catch (cause) {
    throw new GuestError('ERR_GUEST_UNPACK', `cannot unpack ${path}: ${cause}`, `install ${program}`, { cause });
  }
}
