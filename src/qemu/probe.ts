import { readFile, readlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type Json, Recorder } from '../timeline/index.js';
import { boundedRun } from './bounded-run.js';
import { accelerators, atLeast, neededTypes, type QemuFacts } from './facts.js';
import { findProgram } from './locate.js';
import { launch, type QemuProcess } from './process.js';
import { QemuError } from './qemu-error.js';
import { type QmpClient, QmpError } from './qmp.js';
import { Workspace } from './workspace.js';

/** An answer takes a fraction of a second; a cold disk and a loaded machine are allowed for. */
const BOUND_MS = 30_000;

/**
 * Asks a binary what it is and what it can do: `--version`, then QMP on a machine without anything.
 * @param path absolute path of a QEMU, or of a script that ends with `exec` of one
 * @param boundMs for each of the two questions
 * @throws QemuError ERR_NOT_QEMU, ERR_QEMU_PROBE, ERR_QEMU_UNSUPPORTED, ERR_QEMU_START
 */
export async function probe(path: string, { boundMs = BOUND_MS }: { boundMs?: number } = {}): Promise<QemuFacts> {
  const versionText = await askVersion(path, boundMs);
  const workspace = await Workspace.create();
  try {
    const { path: cwd } = await workspace.makeDir();
    const qmpPath = join(cwd, 'qmp.sock');
    // The first accelerator of the list that works is taken; with TCG there nothing else is tried, /dev/kvm least of all.
    const machine = `none,accel=${accelerators.join(':')}`;
    const qemu = await launch({
      path,
      argv: ['-machine', machine, '-nodefaults', '-display', 'none', '-S', '-qmp', `unix:${qmpPath},server=off`],
      cwd,
      qmpPath,
      recorder: new Recorder(),
    });
    try {
      return { path, versionText, ...(await within(boundMs, path, ask(qemu))) };
    } finally {
      await qemu.dispose();
    }
  } catch (error) {
    if (!(error instanceof QemuError)) throw error;
    if (error.code !== 'ERR_QEMU_EXITED' && error.code !== 'ERR_QEMU_PROTOCOL' && error.code !== 'ERR_QMP') throw error;
    throw new QemuError('ERR_QEMU_PROBE', `${path} cannot be asked: ${error.message}`, 'does it run by hand?', {
      cause: error,
    });
  } finally {
    await workspace.close();
  }
}

/** The first line of `--version` of a binary. @throws QemuError ERR_NOT_QEMU, ERR_QEMU_START */
export async function askVersion(path: string, boundMs = BOUND_MS): Promise<string> {
  const run = await boundedRun([path, '--version'], { timeMs: boundMs, maxBytes: 1 << 16 }).catch((cause: Error) => {
    throw new QemuError('ERR_QEMU_START', `cannot start ${path}: ${cause.message}`, 'is it an executable?', { cause });
  });
  const line = run.stdout.split('\n').find((text) => text.startsWith('QEMU emulator version '));
  if (line !== undefined && run.code === 0) return line.trim();
  if (run.exceeded === 'time')
    throw notQemu(path, `gave no answer to --version within ${boundMs / 1000} s`, 'does it run by hand?');
  const first = `${run.stdout}\n${run.stderr}`.split('\n').find((text) => text.trim() !== '');
  const words = first === undefined ? 'says nothing' : `says ${JSON.stringify(first.slice(0, 80))}`;
  throw notQemu(path, `${words} to --version`, `name a qemu-system-* binary, not ${basename(path)}`);
}

function notQemu(path: string, does: string, hint: string): QemuError {
  return new QemuError('ERR_NOT_QEMU', `${path} is not a QEMU: it ${does}`, hint);
}

async function ask(qemu: QemuProcess): Promise<Omit<QemuFacts, 'path' | 'versionText'>> {
  const qmp = await qemu.qmp;
  await requireExec(qemu.pid);
  const binary = await binaryOf(qemu.pid);
  const { qemu: v } = (await qmp.execute('query-version')) as { qemu: Record<'major' | 'minor' | 'micro', number> };
  const version = `${v.major}.${v.minor}.${v.micro}`;
  if (!atLeast({ version }, 5, 2))
    throw new QemuError('ERR_QEMU_UNSUPPORTED', `QEMU ${version} is too old`, 'the tester needs 5.2 or newer');
  const machines = (await qmp.execute('query-machines')) as { name: string; alias?: string }[];
  const options = await chardevOptions(qmp);
  return {
    binary,
    version,
    machines: new Set(machines.flatMap(({ name, alias }) => (alias === undefined ? [name] : [name, alias]))),
    accelerators: new Set(await filter(accelerators, (name) => hasType(qmp, `${name}-accel`))),
    types: new Set(await filter(neededTypes, (type) => hasType(qmp, type))),
    chardevOptions: new Set(options),
    reconnectOption: options.includes('reconnect-ms') ? 'reconnect-ms' : 'reconnect',
    // The qtest server became an object in 6.0; before, it was always there.
    qtest: !atLeast({ version }, 6, 0) || (await hasType(qmp, 'qtest')),
  };
}

/** A script that starts QEMU as a child would be taken for QEMU: its exit, its sockets, its file descriptors. */
async function requireExec(pid: number): Promise<void> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  if (children.trim() !== '')
    throw new QemuError('ERR_QEMU_PROBE', 'the script runs QEMU as its child', 'let it end with: exec qemu... "$@"');
}

/** The file that a process executes; of one that was started by the dynamic loader's name, what the loader was given. */
async function binaryOf(pid: number): Promise<string> {
  const exe = await readlink(`/proc/${pid}/exe`);
  if (!/^ld[-.]/.test(basename(exe))) return exe;
  const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0');
  for (const argument of words.slice(1)) {
    const path = argument.includes('/') ? await findProgram(argument) : undefined;
    if (path !== undefined) return path;
  }
  return exe;
}

async function chardevOptions(qmp: QmpClient): Promise<string[]> {
  const answer = await qmp.execute('query-command-line-options', { option: 'chardev' });
  return (answer as { parameters: { name: string }[] }[]).flatMap((o) => o.parameters.map(({ name }) => name));
}

/**
 * Whether a QOM type is there. Asked one by one: a list (qom-list-types) makes QEMU load all modules that it finds,
 * and those of another build, found by a relocated binary, end it.
 */
async function hasType(qmp: QmpClient, typename: string): Promise<boolean> {
  try {
    await qmp.execute('qom-list-properties', { typename } satisfies Json);
    return true;
  } catch (error) {
    if (error instanceof QmpError && error.errorClass === 'DeviceNotFound') return false;
    throw error;
  }
}

async function filter<T>(list: readonly T[], test: (item: T) => Promise<boolean>): Promise<T[]> {
  const kept = await Promise.all(list.map(test));
  return list.filter((_, i) => kept[i]);
}

async function within<T>(ms: number, path: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const hint = 'does it start by hand with -machine none?';
    const message = `${path} gave no answer on QMP within ${ms / 1000} s`;
    timer = setTimeout(() => reject(new QemuError('ERR_QEMU_PROBE', message, hint)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
