import { createHash } from 'node:crypto';
import { copyFile, mkdir, open, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { arch, availableParallelism } from 'node:os';
import { join } from 'node:path';
import { makeFolder } from '../../src/cli/out.js';
import { type Anchors, check, patched, type ReadSource, touchedFiles } from './anchors.js';
import { demandSpace, lockFolder, readIfThere } from './cache.js';
import { ask, type Ending, failed, plainEnvironment, run, type Surroundings } from './commands.js';
import type { Mutations } from './defects.js';
import type { Progress } from './progress.js';
import { fetchSource, type SourcePackage } from './source.js';
import { makeTree, nameOf, readerOf, updateTree } from './tree.js';
import { Trouble } from './trouble.js';

/** Changes when what is done with the same input changes. */
const RECIPE = 1;

/** Our list of devices, as the build names it. */
const DEVICES = 'mutants';

/** What the tester uses of QEMU. The emulated PCs need no other device. */
const devices = ['Q35', 'I440FX', 'MICROVM', 'VIRTIO_PCI', 'VIRTIO_NET', 'VIRTIO_BALLOON']
  .map((name) => `CONFIG_${name}=y\n`)
  .concat('CONFIG_PCI_DEVICES=n\n')
  .join('');

/** What the version of a build says of it, after the distribution's. */
export const WITH_DEFECTS = 'with defects';

const PROGRAM = 'qemu-system-x86_64';

/** Optimised as the distribution's, and not stripped: backtraces name functions. */
function configuration({ version }: SourcePackage): string[] {
  return [
    '--target-list=x86_64-softmmu',
    '--without-default-features',
    '--without-default-devices',
    `--with-devices-x86_64=${DEVICES}`,
    '--enable-system',
    '--enable-tcg',
    '--enable-vhost-user',
    '--enable-vhost-net',
    '--disable-docs',
    '--disable-tools',
    '--disable-debug-info',
    '--disable-werror',
    // A slip in an addition must not become a call of something that is not declared.
    '--extra-cflags=-Werror=implicit-function-declaration',
    // Where the distribution's own looks: the source has no firmware in it, and the program lies elsewhere.
    '--firmwarepath=/usr/share/qemu:/usr/share/seabios:/usr/lib/ipxe/qemu',
    `--with-pkgversion=Debian ${version}, ${WITH_DEFECTS}`,
  ];
}

/** Measured, rounded up: a build from nothing, and one that only compiles anew. */
const SPACE_MB = { source: 400, build: 150 };

/** Programs of former defects that are kept: a run may still be using one. */
const KEPT_PROGRAMS = 4;

export interface Plan {
  source: SourcePackage;
  mutations: Mutations;
  anchors: Anchors;
  /** The text of defect.h. */
  header: string;
}

/** Where everything of one source is kept, and what is used on the way. */
export interface Workshop {
  /** Folder of this source; made when it is missing. */
  dir: string;
  signal: AbortSignal;
  progress: Progress;
  /** Compilers side by side; as many as there are CPUs without it. */
  jobs?: number | undefined;
  /** Brings in the programs and libraries that a build needs; they may be there. @throws Trouble */
  provide(surroundings: Surroundings): Promise<void>;
}

/** The folder of a source below the cache. A colon, as in the epoch, would break rules of make. */
export function workshopDir(cache: string, { name, version }: SourcePackage): string {
  return join(cache, 'mutants', `${name}-${version.replace(/^\d+:/, '')}-${arch()}`);
}

/**
 * The defective QEMU, built unless it is there.
 * @returns the path of the program
 * @throws Trouble, Interrupted, the file system's error
 */
export async function build(plan: Plan, workshop: Workshop): Promise<string> {
  const { dir, signal, progress } = workshop;
  const program = join(dir, 'bin', `${PROGRAM}-${digestOf(plan)}`);
  if (await present(program)) return program;
  if (/[\s:]/.test(dir))
    throw new Trouble(
      `QEMU cannot be built in a folder with a space or a colon in its name: ${dir}`,
      'name another one: VHOST_RECONNECT_CACHE=DIR',
    );
  makeFolder(join(dir, 'bin'));
  const lock = await lockFolder(dir, signal, () => progress.stage(`waiting for another build in ${dir}`));
  try {
    // The one that was waited for may have built it.
    if (await present(program)) return program;
    const surroundings = { signal, lock: lock.fd, log: join(dir, 'build.log') };
    await writeFile(surroundings.log, '');
    await make(plan, program, workshop, surroundings);
    await removeOld(join(dir, 'bin'), program);
    return program;
  } finally {
    progress.end();
    await lock.release();
  }
}

/** The source, unpacked as it came; fetched unless it is there. */
export async function unpackedSource(
  source: SourcePackage,
  { dir, progress, provide }: Workshop,
  surroundings: Surroundings,
): Promise<string> {
  const path = join(dir, 'source');
  if (await present(path)) return path;
  await demandSpace(dir, SPACE_MB.source + SPACE_MB.build);
  await provide(surroundings);
  progress.stage(`fetching the source ${source.name} ${source.version}`);
  await fetchSource(source, path, surroundings);
  return path;
}

async function make(plan: Plan, program: string, workshop: Workshop, surroundings: Surroundings): Promise<void> {
  const { dir, progress } = workshop;
  const [tree, objects] = [join(dir, 'tree'), join(dir, 'build')];
  const source = await unpackedSource(plan.source, workshop, surroundings);
  const read = readerOf(source);
  const { additions } = plan.mutations;
  await check(additions, plan.anchors, plan.source.version, read);
  const files = await changedFiles(plan, read);
  await demandSpace(dir, SPACE_MB.build);
  await workshop.provide(surroundings);
  await makeTree(source, tree, surroundings);
  await updateTree(source, tree, files);
  await configure(plan, tree, objects, workshop, surroundings);
  await demandCompiled(objects, tree, touchedFiles(additions));
  progress.stage('building QEMU');
  const ninja = await run(
    {
      task: 'building QEMU',
      // A few failures are gone past: mistakes in several files are told at once.
      argv: ['ninja', '-j', String(workshop.jobs ?? availableParallelism()), '-k', '8', PROGRAM],
      cwd: objects,
      env: { ...plainEnvironment(), NINJA_STATUS: '[%f/%t] ' },
      onLine(line) {
        const [, done, total] = /^\[(\d+)\/(\d+)\] /.exec(line) ?? [];
        if (done && total) progress.step(Number(done), Number(total));
      },
    },
    surroundings,
  );
  progress.end();
  if (ninja.code !== 0) throw failed('QEMU could not be built', ninja, surroundings);
  await deliver(join(objects, PROGRAM), program);
}

/** Every file that differs from the source: those with additions, and what they need. */
async function changedFiles({ mutations, header }: Plan, read: ReadSource): Promise<Map<string, string>> {
  const ids = mutations.defects.map(({ id }) => `"${id}", `).join('\\\n  ');
  const files = new Map([
    ['include/defect.h', header],
    ['include/defect-ids.h', `#define DEFECT_IDS \\\n  ${ids}\n`],
    [`configs/devices/x86_64-softmmu/${DEVICES}.mak`, devices],
  ]);
  for (const file of touchedFiles(mutations.additions)) files.set(file, await patched(file, mutations.additions, read));
  return files;
}

/** Configures an empty folder, unless that was done for this tree and configuration. */
async function configure(
  { source }: Plan,
  tree: string,
  objects: string,
  { progress }: Workshop,
  surroundings: Surroundings,
): Promise<void> {
  const argv = [join(tree, 'configure'), ...configuration(source)] as const;
  const mark = join(objects, '.mutants-configured');
  const wanted = digest([argv, devices, await nameOf(tree)]);
  if ((await readIfThere(mark)) === wanted) return;
  progress.stage('configuring QEMU');
  // The mark goes first: what is left by an interruption is not taken for configured.
  await rm(mark, { force: true });
  await rm(objects, { recursive: true, force: true });
  await mkdir(objects);
  const ending: Ending = await run({ task: 'configuring QEMU', argv: [...argv], cwd: objects }, surroundings);
  if (ending.code !== 0) throw failed('QEMU could not be configured', ending, surroundings);
  await writeFile(mark, wanted, { flush: true });
}

/** A defect in a file that is not compiled would look like none. */
async function demandCompiled(objects: string, tree: string, files: readonly string[]): Promise<void> {
  const commands = JSON.parse(await readFile(join(objects, 'compile_commands.json'), 'utf8')) as { file: string }[];
  const compiled = new Set(commands.map(({ file }) => join(objects, file)));
  const idle = files.filter((file) => file.endsWith('.c') && !compiled.has(join(tree, file)));
  if (idle.length > 0)
    throw new Trouble(`no part of this build, so that their defects would have no effect: ${idle.join(', ')}`);
}

/** Puts the program where it is looked for, after it has shown that it starts, and that it knows a wrong id. */
async function deliver(built: string, program: string): Promise<void> {
  const partial = `${built}.partial`;
  await copyFile(built, partial);
  const handle = await open(partial);
  await handle.sync().finally(() => handle.close());
  const version = await ask(partial, '--version');
  if (version?.code !== 0 || !version.text.includes('with defects'))
    throw new Trouble(`the program that was built does not start: ${built}`);
  const wrong = await ask('env', 'VHOST_RECONNECT_DEFECT=no-such-defect', partial, '--version');
  if (wrong?.code !== 2) throw new Trouble(`the program that was built takes an unknown defect for none: ${built}`);
  await rename(partial, program);
}

async function removeOld(bin: string, program: string): Promise<void> {
  const paths = (await readdir(bin)).map((name) => join(bin, name)).filter((path) => path !== program);
  const dated = await Promise.all(paths.map(async (path) => ({ path, time: (await stat(path)).mtimeMs })));
  dated.sort((a, b) => b.time - a.time);
  for (const { path } of dated.slice(KEPT_PROGRAMS - 1)) await rm(path);
}

/** Whether there is such a file or folder; a file's time becomes now, so that it counts as used. */
async function present(path: string): Promise<boolean> {
  const now = new Date();
  return utimes(path, now, now).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false;
      throw error;
    },
  );
}

/** Everything that the program depends on. */
function digestOf({ source, mutations, anchors, header }: Plan): string {
  const { additions } = mutations;
  const ids = mutations.defects.map(({ id }) => id);
  return digest([RECIPE, source, configuration(source), devices, header, anchors, ids, additions]);
}

function digest(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 16);
}
