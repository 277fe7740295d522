import { constants } from 'node:fs';
import { access, readdir, readFile } from 'node:fs/promises';
import { profiles } from '../../../src/peer/index.js';
import { boundedRun } from '../../../src/qemu/bounded-run.js';
import { findProgram, findQemu, probe, QemuError, type QemuFacts } from '../../../src/qemu/index.js';

/** Something that this machine lacks for the comparison with a real OVS-DPDK, and what to do about it. */
export class Lack extends Error {
  constructor(
    message: string,
    readonly hint: string,
  ) {
    super(message);
    this.name = 'Lack';
  }
}

/** The programs of an Open vSwitch with DPDK, by path. */
export interface OvsPrograms {
  vswitchd: string;
  database: string;
  databaseTool: string;
  vsctl: string;
  appctl: string;
  schema: string;
}

/** What the comparison runs with. */
export interface Environment {
  qemu: QemuFacts;
  ovs: OvsPrograms;
  /** What the switch says of itself: both versions. */
  ovsVersion: string;
  /** Name of the profile that stands for it. */
  profile: string;
}

/** Debian's build with DPDK stands beside the one without; elsewhere there is one, with or without. */
const SWITCHES = ['/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk', 'ovs-vswitchd', '/usr/sbin/ovs-vswitchd'];
const SCHEMA = '/usr/share/openvswitch/vswitch.ovsschema';

/** MiB that OVS, DPDK and a QEMU take together. */
const MEMORY_MIB = 700;

const INSTALL = 'as root: apt-get install openvswitch-switch-dpdk librte-mempool-ring23 (Debian 12)';
const UTIL_LINUX = 'install util-linux';

/** Looks whether a real OVS-DPDK can be run here. @throws AggregateError of Lacks, all that there are */
export async function findEnvironment(): Promise<Environment> {
  const lacks: Lack[] = [];
  /** Undefined where something is lacking. */
  const need = async <T>(find: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await find();
    } catch (error) {
      const known = error instanceof QemuError ? new Lack(error.message, error.hint) : error;
      if (!(known instanceof Lack)) throw error;
      lacks.push(known);
      return undefined;
    }
  };
  const qemu = await need(async () => probe(await findQemu(process.env.VHOST_RECONNECT_QEMU)));
  const found = await need(findSwitch);
  const database = await need(() => program('ovsdb-server', INSTALL));
  const databaseTool = await need(() => program('ovsdb-tool', INSTALL));
  const vsctl = await need(() => program('ovs-vsctl', INSTALL));
  const appctl = await need(() => program('ovs-appctl', INSTALL));
  for (const name of ['unshare', 'setpriv']) await need(() => program(name, UTIL_LINUX));
  for (const check of [readSchema, findMempool, openTun, beRoot, findMemory]) await need(check);
  if (lacks.length > 0 || !qemu || !found || !database || !databaseTool || !vsctl || !appctl)
    throw new AggregateError(lacks, 'a real OVS-DPDK cannot be run here');
  const { vswitchd, ovsVersion, profile } = found;
  return { qemu, ovsVersion, profile, ovs: { vswitchd, database, databaseTool, vsctl, appctl, schema: SCHEMA } };
}

/** Administrators' programs stand outside of most PATHs. */
async function program(name: string, hint: string): Promise<string> {
  const path = (await findProgram(name)) ?? (await findProgram(`/usr/sbin/${name}`));
  if (path === undefined) throw new Lack(`no program ${name}`, hint);
  return path;
}

async function findSwitch(): Promise<{ vswitchd: string; ovsVersion: string; profile: string }> {
  let said = 'none is installed';
  for (const name of SWITCHES) {
    const vswitchd = await findProgram(name);
    if (vswitchd === undefined) continue;
    const { stdout } = await boundedRun([vswitchd, '--version'], { timeMs: 10_000 });
    said = stdout.trim().split('\n').slice(0, 2).join(', ');
    const version = /\(Open vSwitch\) (\d+\.\d+)[\s\S]*^DPDK /m.exec(stdout)?.[1];
    if (version === undefined) continue;
    const profile = `ovs-dpdk-${version}`;
    if (profiles[profile]) return { vswitchd, ovsVersion: said, profile };
    const known = Object.keys(profiles).filter((one) => one.startsWith('ovs-dpdk-'));
    throw new Lack(`no profile stands for ${said}`, `the mock peer knows ${known.join(', ')}`);
  }
  throw new Lack(`no Open vSwitch with DPDK: ${said}`, INSTALL);
}

async function readSchema(): Promise<void> {
  await access(SCHEMA).catch(() => {
    throw new Lack(`no ${SCHEMA}`, INSTALL);
  });
}

/** DPDK loads it by itself from there. Without it OVS says that it cannot make a mempool: "Invalid argument". */
async function findMempool(): Promise<void> {
  for (const lib of ['/usr/lib/x86_64-linux-gnu/dpdk', '/usr/lib/aarch64-linux-gnu/dpdk', '/usr/lib64/dpdk']) {
    const files = await readdir(lib, { recursive: true }).catch(() => []);
    if (files.some((file) => file.includes('librte_mempool_ring.so'))) return;
  }
  throw new Lack("DPDK's librte_mempool_ring is not installed", INSTALL);
}

async function openTun(): Promise<void> {
  await access('/dev/net/tun', constants.R_OK | constants.W_OK).catch(() => {
    throw new Lack('/dev/net/tun cannot be opened: OVS needs it for the bridge itself', 'as root: modprobe tun');
  });
}

async function beRoot(): Promise<void> {
  if (process.getuid!() === 0) return;
  throw new Lack('not root: OVS needs a network namespace with taps of its own', 'run it as root');
}

async function findMemory(): Promise<void> {
  const kib = Number(/^MemAvailable:\s+(\d+) kB$/m.exec(await readFile('/proc/meminfo', 'utf8'))?.[1] ?? Infinity);
  if (kib / 1024 < MEMORY_MIB)
    throw new Lack(`${Math.floor(kib / 1024)} MiB of memory are free, ${MEMORY_MIB} are needed`, 'stop something else');
}
