import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { delimiter, join, resolve } from 'node:path';
import { QemuError } from './qemu-error.js';

/** Where QEMU is looked for when nobody says: the usual name, then where RHEL and its kin keep it. */
const CANDIDATES = ['qemu-system-x86_64', '/usr/libexec/qemu-kvm', '/usr/bin/qemu-kvm'];

/**
 * The absolute path of the QEMU to test. It may be a script that ends with `exec` of the real binary.
 * @param explicit a path, or a name to be found in PATH; without it the usual places are tried
 * @throws QemuError ERR_QEMU_NOT_FOUND
 */
export async function findQemu(explicit?: string): Promise<string> {
  for (const candidate of explicit === undefined ? CANDIDATES : [explicit]) {
    const path = await findProgram(candidate);
    if (path !== undefined) return path;
  }
  throw explicit === undefined
    ? new QemuError(
        'ERR_QEMU_NOT_FOUND',
        `no QEMU found (looked for ${CANDIDATES.join(', ')})`,
        'install qemu-system-x86, or name a binary',
      )
    : new QemuError('ERR_QEMU_NOT_FOUND', `no program at ${explicit}`, 'give the path of an executable file');
}

/** The absolute path of an executable file, given by path or by its name in PATH; undefined when there is none. */
export async function findProgram(name: string): Promise<string | undefined> {
  const places = name.includes('/') ? [name] : (process.env.PATH ?? '').split(delimiter).map((dir) => join(dir, name));
  for (const place of places) {
    const path = resolve(place);
    if (await isExecutable(path)) return path;
  }
  return undefined;
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}
