import { access, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { demandSpace } from '../mutants/cache.js';
import { ask, failed, run, type Surroundings } from '../mutants/commands.js';
import { Trouble } from '../mutants/trouble.js';
import { KEYRING, PrivateApt, Unreachable } from './apt.js';
import type { Release, Unpacked } from './releases.js';

const PACKAGE = 'qemu-system-x86';
/** To be raised when something else is unpacked than before. */
const LAYOUT = 1;
/** Packages and what is unpacked of them, side by side for a moment; measured: 50 to 60 and 170 to 190 MB. */
const NEEDED_MB = 400;
/** What the name of an unpacked version begins with. */
const PREFIX = `${LAYOUT}-`;
/**
 * What apt has in a release's folder. What else is there is named by the version that it is of, encoded: the loader takes a
 * colon in the path of its libraries for the end of it.
 */
const OWN = ['state', 'cache', 'status', 'sources.list', 'apt.conf', 'partial'];

export interface UnpackOptions {
  /** The release's folder in the cache; made when it is not there. */
  dir: string;
  mirror: string;
  keyring?: string;
  surroundings: Surroundings;
  /** Told what is being done. */
  say(text: string): void;
}

/**
 * A release's QEMU, from the cache when it is there already: only asked for, unpacked, and never installed. No maintainer
 * script runs, nothing of the host is read or changed, and no root is needed.
 * @throws Trouble, Interrupted
 */
export async function unpackQemu(release: Release, options: UnpackOptions): Promise<Unpacked> {
  const { dir, mirror, keyring = KEYRING, surroundings, say } = options;
  await access(keyring).catch(() => {
    throw new Trouble(`there is no ${keyring}, by which packages are trusted`, 'install debian-archive-keyring');
  });
  if (dir.includes(':'))
    throw new Trouble(
      `${dir} has a colon in it, which the loader cannot take`,
      'VHOST_RECONNECT_CACHE=DIR names another',
    );
  await mkdir(dir, { recursive: true });
  const apt = await PrivateApt.make(dir, release.suite, mirror, keyring, surroundings);
  try {
    await apt.update();
    const version = await apt.candidate(PACKAGE);
    const name = `${PREFIX}${encodeURIComponent(version)}`;
    const place = join(dir, name);
    if (!(await isThere(place))) {
      say(`unpacking QEMU ${version} of ${release.name}`);
      await demandSpace(dir, NEEDED_MB);
      await unpack(apt, release, version, place, surroundings);
    }
    for (const old of await versions(dir)) if (old !== name) await rm(join(dir, old), { recursive: true });
    return { ...release, version, qemu: join(place, 'qemu') };
  } catch (error) {
    const kept = error instanceof Unreachable && (await versions(dir)).find((name) => name.startsWith(PREFIX));
    if (!kept) throw error;
    say(`${(error as Error).message}; the QEMU that was unpacked before is used`);
    return { ...release, version: decodeURIComponent(kept.slice(PREFIX.length)), qemu: join(dir, kept, 'qemu') };
  }
}

const isThere = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );

/** What is unpacked of a release: one version, two after an interruption. */
const versions = async (dir: string) => (await readdir(dir)).filter((name) => !OWN.includes(name));

/** Makes the folder `place`, whole or not at all. */
async function unpack(apt: PrivateApt, release: Release, version: string, place: string, surroundings: Surroundings) {
  const partial = join(dirname(place), 'partial');
  await rm(partial, { recursive: true, force: true });
  try {
    const debs = join(partial, 'debs');
    await apt.download(PACKAGE, debs);
    await extract(debs, join(partial, 'root'), `unpacking QEMU of ${release.suite}`, surroundings);
    await rm(debs, { recursive: true });
    const title = `QEMU ${version} of ${release.name}`;
    await writeFile(join(partial, 'qemu'), wrapper(title, await libraries(join(partial, 'root'))), { mode: 0o755 });
    const answer = await ask(join(partial, 'qemu'), '--version');
    if (answer?.code !== 0) throw new Trouble(`${title} does not run here`, 'is this machine an amd64?');
    await rename(partial, place);
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
}

/** Unpacks into one tree as dpkg would; older releases have libraries in both /lib and /usr/lib. */
async function extract(debs: string, root: string, task: string, surroundings: Surroundings): Promise<void> {
  const script = `set -euo pipefail
    mkdir -p "$2"/usr/{bin,sbin,lib,lib32,lib64,libx32}
    for name in bin sbin lib lib32 lib64 libx32; do ln -s "usr/$name" "$2/$name"; done
    for deb in "$1"/*.deb; do
      dpkg-deb --fsys-tarfile "$deb" | tar --extract --no-same-owner --keep-directory-symlink --directory="$2" --file=-
    done`;
  const ending = await run({ task, argv: ['bash', '-c', script, 'bash', debs, root], cwd: debs }, surroundings);
  if (ending.code !== 0) throw failed(`${task} failed`, ending, surroundings);
}

/** The folder of the libraries, such as `x86_64-linux-gnu`, and the loader in it. */
async function libraries(root: string): Promise<{ folder: string; loader: string }> {
  const lib = join(root, 'usr/lib');
  for (const folder of await readdir(lib)) {
    const names: string[] = await readdir(join(lib, folder)).catch(() => []);
    // A file, not the link to it: that one may be absolute. Debian 11: ld-2.31.so; later: ld-linux-x86-64.so.2.
    const loader =
      names.find((name) => /^ld-\d.*\.so$/.test(name)) ?? names.find((name) => /^ld-linux.*\.so\.\d$/.test(name));
    if (loader !== undefined && names.includes('libc.so.6')) return { folder, loader };
  }
  throw new Trouble(`there is no loader below ${lib}`, 'is this machine of an architecture that Debian has?');
}

/** A script that is where `root` is, wherever that is moved to. Modules and firmware of the host's QEMU are none of its own. */
const wrapper = (title: string, { folder, loader }: { folder: string; loader: string }): string => `#!/bin/sh
# ${title}, by its own loader and libraries.
usr=\${0%/*}/root/usr
lib=$usr/lib/${folder}
export QEMU_MODULE_DIR="$lib/qemu"
exec "$lib/${loader}" --library-path "$lib" "$usr/bin/qemu-system-x86_64" \\
  -L "$usr/share/qemu" -L "$usr/share/seabios" -L "$usr/lib/ipxe/qemu" "$@"
`;
