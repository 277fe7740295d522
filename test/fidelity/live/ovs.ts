import { type ChildProcess, spawn } from 'node:child_process';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pathAppears } from '../../../src/peer/path-appears.js';
import { boundedRun } from '../../../src/qemu/bounded-run.js';
import type { Role } from '../../../src/timeline/index.js';
import { Lack, type OvsPrograms } from './environment.js';

/**
 * Ordinary memory in place of hugepages, no devices, no files outside of the private directory. With --legacy-mem, which
 * --no-huge implies anyway, OVS does not add --in-memory, which EAL refuses together with it.
 */
const EAL = '--no-pci --no-huge --legacy-mem -m 256 --no-shconf --no-telemetry';

const SETTINGS = [
  'dpdk-init=true',
  `dpdk-extra="${EAL}"`,
  // Ports that share their memory ask for 262144 buffers, which is more than there is.
  'per-port-memory=true',
  // A thread that polls all the time takes a whole core. Renamed in 3.2; the name that OVS does not know is ignored.
  'pmd-maxsleep=500',
  'pmd-sleep-max=500',
];

const PORT = 'vhost0';

/** How long a start, an exit or a command may take; OVS alone takes a second at most. */
const BOUND_MS = 30_000;

/**
 * A real OVS-DPDK with one vhost-user port, in a private directory and a network namespace of its own: the taps that a
 * killed one leaves behind go with the namespace. It does not outlive the tester.
 */
export class Ovs {
  /** The socket that the port dials (QEMU is server) or listens on (QEMU is client). */
  readonly socket: string;
  readonly #programs: OvsPrograms;
  readonly #role: Role;
  readonly #dir: string;
  readonly #remote: string;
  #database: ChildProcess | undefined;
  #switch: ChildProcess | undefined;

  constructor(programs: OvsPrograms, role: Role, dir: string) {
    this.#programs = programs;
    this.#role = role;
    this.#dir = dir;
    this.#remote = `unix:${join(dir, 'db.sock')}`;
    this.socket = join(dir, role === 'server' ? 'dialled' : PORT);
  }

  /** Starts the database, with bridge and port in it; the switch comes with `start`. @throws Lack */
  async prepare(): Promise<void> {
    const { database, databaseTool, schema } = this.#programs;
    const file = join(this.#dir, 'conf.db');
    await this.#call(databaseTool, 'create', file, schema);
    const appeared = pathAppears(join(this.#dir, 'db.sock'));
    this.#database = this.#spawn(database, file, `--remote=p${this.#remote}`, `--unixctl=${this.#dir}/db.ctl`);
    await this.#ready(this.#database, 'ovsdb-server', appeared.done).finally(appeared.giveUp);
    await this.#vsctl('init');
    await this.#vsctl('set', 'Open_vSwitch', '.', ...SETTINGS.map((setting) => `other_config:${setting}`));
    const type =
      this.#role === 'server'
        ? ['type=dpdkvhostuserclient', `options:vhost-server-path=${this.socket}`]
        : ['type=dpdkvhostuser'];
    await this.#vsctl('add-br', 'br0', '--', 'set', 'bridge', 'br0', 'datapath_type=netdev');
    await this.#vsctl('add-port', 'br0', PORT, '--', 'set', 'Interface', PORT, ...type);
  }

  /** Starts the switch. @param up resolves when its port is seen to work @throws Lack when it does not come up */
  async start(up: Promise<void>): Promise<void> {
    const { vswitchd } = this.#programs;
    const log = `--log-file=${this.#log}`;
    // What a killed switch left behind would keep the next one from listening.
    if (this.#role === 'client') await rm(this.socket, { force: true });
    this.#switch = this.#spawn('unshare', '--net', '--', vswitchd, this.#remote, `--unixctl=${this.#control}`, log);
    await this.#ready(this.#switch, 'ovs-vswitchd', up);
  }

  /** Kills the switch. Resolves when it is gone. */
  async kill(): Promise<void> {
    await end(this.#switch);
  }

  /** Has the switch exit in good order. Resolves when it is gone. @throws Lack when it does not */
  async exit(): Promise<void> {
    const gone = new Promise<void>((resolve) => this.#switch!.once('exit', () => resolve()));
    await this.#call(this.#programs.appctl, '-t', this.#control, 'exit');
    await bounded(gone, () => new Lack('ovs-vswitchd does not exit', 'see its log'));
  }

  /** The last errors in the switch's log, one line each. */
  async complaints(): Promise<string> {
    const log = await readFile(this.#log, 'utf8').catch(() => '');
    const errors = log.split('\n').filter((line) => /\|(ERR|EMER)\|/.test(line));
    return errors.slice(-3).join('\n      ') || 'its log has no errors';
  }

  /** Ends everything that was started. */
  async close(): Promise<void> {
    await Promise.all([end(this.#switch), end(this.#database)]);
  }

  get #control(): string {
    return join(this.#dir, 'switch.ctl');
  }

  get #log(): string {
    return join(this.#dir, 'switch.log');
  }

  async #vsctl(...args: string[]): Promise<void> {
    await this.#call(this.#programs.vsctl, `--db=${this.#remote}`, '--no-wait', ...args);
  }

  async #call(...argv: [string, ...string[]]): Promise<void> {
    const { code, stderr } = await boundedRun(argv, { timeMs: BOUND_MS, env: this.#folders });
    if (code !== 0)
      throw new Lack(`${argv.slice(0, 6).join(' ')}: ${stderr.trim() || code}`, 'is it the real program?');
  }

  /** Where it keeps its files; RUNTIME_DIRECTORY is EAL's. */
  get #folders(): Record<string, string> {
    const names = ['OVS_RUNDIR', 'OVS_LOGDIR', 'OVS_DBDIR', 'OVS_SYSCONFDIR', 'RUNTIME_DIRECTORY'];
    return Object.fromEntries(names.map((name) => [name, this.#dir]));
  }

  #spawn(...argv: [string, ...string[]]): ChildProcess {
    const env = { ...process.env, ...this.#folders };
    return spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...argv], { cwd: this.#dir, env, stdio: 'ignore' });
  }

  /** Waits for `up`. @throws Lack when the program ends before, or takes too long; with what it complained of */
  async #ready(child: ChildProcess, name: string, up: Promise<void>): Promise<void> {
    const lack = async (what: string) => new Lack(`${name} ${what}`, await this.complaints());
    let ended: (error: Error) => void = () => {};
    const death = new Promise<never>((_, reject) => {
      ended = reject;
    });
    const die = async (code: number | null, signal: string | null) => ended(await lack(`ended: ${signal ?? code}`));
    child.once('exit', die);
    child.once('error', ended);
    try {
      await bounded(Promise.race([up, death]), () => lack(`is not up after ${BOUND_MS} ms`));
    } finally {
      child.off('exit', die);
    }
  }
}

async function end(child: ChildProcess | undefined): Promise<void> {
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
}

/** @throws what `failure` gives when `promise` takes too long */
async function bounded<T>(promise: Promise<T>, failure: () => Error | Promise<Error>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(async () => reject(await failure()), BOUND_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
