import { constants } from 'node:fs';
import { access, readFile } from 'node:fs/promises';
import { availableParallelism, loadavg } from 'node:os';
import { closeFd, MappedRegion, memfd } from '../os/index.js';
import { findProgram, Workspace } from '../qemu/index.js';
import { defaultJobs } from '../runner/index.js';
import { type Check, messageOf } from './finding.js';

const MIN_NODE = [20, 19] as const;
/** A variant takes about that many descriptors of the tester: sockets, memory, two eventfds for each ring. */
const FDS_PER_JOB = 64;

export const node: Check = () => {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const found = `Node.js ${process.versions.node}, ${process.platform} ${process.arch}`;
  if (process.platform !== 'linux') return { state: 'fail', what: 'node', found, advice: 'Linux is needed' };
  const old = major < MIN_NODE[0] || (major === MIN_NODE[0] && minor < MIN_NODE[1]);
  if (old) return { state: 'fail', what: 'node', found, advice: `Node.js ${MIN_NODE.join('.')} or newer is needed` };
  return { state: 'ok', what: 'node', found };
};

/** The calls that containers forbid most easily, tried on memory of our own. */
export const sharedMemory: Check = () => {
  const what = 'shared memory';
  try {
    const fd = memfd('doctor', 4096);
    try {
      const region = MappedRegion.map(fd, { size: 4096 });
      region.writeU16(2, 0xbeef);
      const same = region.readU16(2) === 0xbeef;
      region.unmap();
      if (!same) return { state: 'fail', what, found: 'memory reads otherwise than it was written' };
      return { state: 'ok', what, found: 'memfd, mmap, process_vm_readv and process_vm_writev work' };
    } finally {
      closeFd(fd);
    }
  } catch (error) {
    return { state: 'fail', what, found: messageOf(error), advice: 'guest memory cannot be read' };
  }
};

export const temporaryFolder: Check = async () => {
  const what = 'temporary folder';
  try {
    const workspace = await Workspace.create();
    const { path } = workspace;
    await workspace.close();
    return { state: 'ok', what, found: `${path} could be made, and is short enough for sockets` };
  } catch (error) {
    return { state: 'fail', what, found: messageOf(error) };
  }
};

/** A limit of this process by /proc/self/limits (soft); undefined for unlimited. */
async function limit(name: string, which: 'soft' | 'hard' = 'soft'): Promise<number | undefined> {
  const line = (await readFile('/proc/self/limits', 'utf8')).split('\n').find((text) => text.startsWith(name));
  const value = line?.slice(name.length).trim().split(/\s+/)[which === 'soft' ? 0 : 1];
  return value === undefined || value === 'unlimited' ? undefined : Number(value);
}

export const openFiles: Check = async () => {
  const max = await limit('Max open files');
  const needed = defaultJobs() * FDS_PER_JOB;
  const found = max === undefined ? 'unlimited' : String(max);
  if (max === undefined || max >= needed) return { state: 'ok', what: 'open files', found };
  const jobs = Math.max(1, Math.floor(max / FDS_PER_JOB));
  return {
    state: 'warn',
    what: 'open files',
    found,
    advice: `use --jobs ${jobs} or raise the limit (ulimit -n ${needed})`,
  };
};

export const cores: Check = async () => {
  const n = availableParallelism();
  const [load = 0] = loadavg();
  const found = `${n} CPUs, load ${load.toFixed(1)}, ${defaultJobs()} variants side by side`;
  if (load <= 2 * n) return { state: 'ok', what: 'CPUs', found };
  return { state: 'warn', what: 'CPUs', found, advice: 'other work slows the run down; verdicts allow for it' };
};

export const coreDumps: Check = async () => {
  const pattern = (await readFile('/proc/sys/kernel/core_pattern', 'utf8')).trim();
  // QEMU is started with the soft limit raised as far as it goes.
  const max = await limit('Max core file size', 'hard');
  const found = `core_pattern ${pattern}, limit ${max ?? 'unlimited'}`;
  // The limit does not matter to a core that is piped into a program.
  if (pattern.startsWith('|') || max !== 0) return { state: 'ok', what: 'core dumps', found };
  return {
    state: 'warn',
    what: 'core dumps',
    found,
    advice: 'no backtrace of a crashed QEMU (the hard limit of ulimit -c is 0)',
  };
};

const program =
  (name: string, advice: string): Check =>
  async () => {
    const path = await findProgram(name);
    return path === undefined
      ? { state: 'warn', what: name, found: 'not found', advice }
      : { state: 'ok', what: name, found: path };
  };
export const gdb = program('gdb', 'no backtrace of a crashed QEMU (install gdb)');
export const setpriv = program('setpriv', 'if the tester is killed, QEMU ends a moment later (install util-linux)');

export const kvm: Check = async () => {
  try {
    await access('/dev/kvm', constants.R_OK | constants.W_OK);
    return { state: 'ok', what: '/dev/kvm', found: 'usable, with --accel kvm' };
  } catch {
    return { state: 'warn', what: '/dev/kvm', found: 'not usable', advice: 'only --accel kvm needs it' };
  }
};
