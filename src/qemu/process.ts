import { type ChildProcess, spawn } from 'node:child_process';
import { readlink } from 'node:fs/promises';
import type { Socket } from 'node:net';
import type { QemuExit as ExitEvent, Recording } from '../timeline/index.js';
import { boundedRun } from './bounded-run.js';
import { awaitDial, type Dialled } from './dialled.js';
import { findProgram } from './locate.js';
import { postMortem } from './post-mortem.js';
import { QemuError } from './qemu-error.js';
import { QmpClient } from './qmp.js';
import { QtestClient } from './qtest.js';
import { StderrLog } from './stderr-log.js';

/** What a QEMU is started with. */
export interface LaunchOptions {
  /** The binary, or a script that ends with `exec` of it. */
  path: string;
  /** Arguments, without argv[0]. They make QEMU dial qmpPath, and the other paths that are given. */
  argv: readonly string[];
  /** Working directory: a private one, a core may be left there. */
  cwd: string;
  qmpPath: string;
  /** Left out when argv has no `-qtest`. */
  qtestPath?: string;
  /** Where argv has a guest's serial console dial. */
  consolePath?: string;
  recorder: Recording;
  /** Raises the limit of core files as far as allowed. */
  core?: boolean;
}

/** How a QEMU ended. */
export type QemuExit = Omit<ExitEvent, 'type'>;

/** How long output is still read after the process's end, if something that it left behind keeps its pipes open. */
const DRAIN_MS = 1000;

/**
 * Starts a QEMU that does not outlive the tester. Resolves when the process runs; QMP and qtest come later.
 * @throws QemuError ERR_QEMU_START
 */
export async function launch(options: LaunchOptions): Promise<QemuProcess> {
  const { path, argv, cwd, qmpPath, qtestPath, consolePath } = options;
  const command = [...(options.core ? RAISE_CORE_LIMIT : []), ...(await dieWithParent()), path, ...argv];
  const listeners: Dialled[] = [];
  try {
    const listen = async (path: string) => {
      const dialled = await awaitDial(path);
      listeners.push(dialled);
      return dialled;
    };
    const qmp = await listen(qmpPath);
    const qtest = qtestPath === undefined ? undefined : await listen(qtestPath);
    const console = consolePath === undefined ? undefined : await listen(consolePath);
    // A session of its own: a terminal's Ctrl-C is for the tester alone, and QEMU dies with whatever it started.
    const child = spawn(command[0]!, command.slice(1), { cwd, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
    await new Promise((resolve, reject) => child.once('spawn', resolve).once('error', reject));
    return new QemuProcess(child, options, { qmp, qtest, console }, listeners);
  } catch (cause) {
    for (const listener of listeners) listener.close();
    if (cause instanceof QemuError) throw cause;
    throw new QemuError('ERR_QEMU_START', `cannot start ${path}: ${cause}`, 'is it an executable?', { cause });
  }
}

/** A running QEMU, and what became of it. */
export class QemuProcess {
  readonly pid: number;
  /** The process's end, recorded as qemu.exit. */
  readonly exited: Promise<QemuExit>;
  /** After the end: its last words and, where it died unasked, the post-mortem are recorded. */
  readonly settled: Promise<void>;
  /**
   * The monitor, once QEMU has greeted: with a vhost-user netdev not before the handshake is done.
   * Rejects with QemuError ERR_QEMU_EXITED when QEMU ends before.
   */
  readonly qmp: Promise<QmpClient>;
  /** The qtest client, once QEMU has dialled: it answers when QEMU runs. Rejects likewise, or when started without. */
  readonly qtest: Promise<QtestClient>;
  /** The guest's serial console, once QEMU has dialled; to be read, or the guest slows down. Rejects likewise. */
  readonly console: Promise<Socket>;
  readonly #child: ChildProcess;
  readonly #recorder: Recording;
  readonly #listeners: Dialled[];
  readonly #stderr: StderrLog;
  /** Output was read to its end. */
  readonly #drained: Promise<void>;
  #executable: string;
  #quitSent = false;
  #killSent = false;

  /** Made by launch(). */
  constructor(
    child: ChildProcess,
    { path, cwd, recorder }: LaunchOptions,
    { qmp, qtest, console }: { qmp: Dialled; qtest: Dialled | undefined; console: Dialled | undefined },
    listeners: Dialled[],
  ) {
    this.#child = child;
    this.#recorder = recorder;
    this.#listeners = listeners;
    this.#executable = path;
    this.pid = child.pid!;
    recorder.record({ type: 'qemu.spawn', pid: this.pid });
    this.#stderr = new StderrLog(recorder);
    // QEMU has nothing of its own to say on stdout; a script around it, or GLib before it aborts, may.
    for (const stream of [child.stderr!, child.stdout!]) this.#stderr.read(stream);
    this.exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        const asked = this.#askedFor(signal);
        const exit = { code, signal, ...(asked && { asked }) };
        recorder.record({ type: 'qemu.exit', ...exit });
        resolve(exit);
      });
    });
    this.#drained = this.#drain();
    this.settled = this.#settle(cwd);
    this.qmp = this.#client(qmp, 'QMP', (socket) => {
      // What setpriv or a script executed in the end: it has the symbols.
      readlink(`/proc/${this.pid}/exe`).then(
        (executable) => {
          this.#executable = executable;
        },
        () => {},
      );
      return QmpClient.open(socket, recorder);
    });
    this.qtest = this.#client(qtest, 'qtest', async (socket) => new QtestClient(socket));
    this.console = this.#client(console, 'the serial console', async (socket) => {
      // Its end is the process's; how it ended tells more.
      return socket.on('error', () => {});
    });
  }

  /** Asks QEMU to quit, as soon as it listens. Does not wait; `exited` tells when it did. */
  quit(): void {
    this.qmp
      .then((qmp) => {
        if (!qmp.connected) return undefined;
        this.#quitSent = true;
        return qmp.execute('quit');
      })
      // Gone already, or gone before it answered.
      .catch(() => {});
  }

  /** Kills QEMU; resolves when it is dead. */
  async kill(): Promise<void> {
    if (this.#running) {
      this.#killSent = true;
      process.kill(-this.pid, 'SIGKILL');
    }
    await this.exited;
  }

  /** Kills QEMU if it still runs, and frees all that belongs to it. Resolves when nothing more will be recorded. */
  async dispose(): Promise<void> {
    await this.kill();
    await this.settled;
    for (const listener of this.#listeners) listener.close();
    for (const client of [this.qmp, this.qtest])
      await client.then(
        (opened) => opened.close(),
        () => {},
      );
    await this.console.then(
      (socket) => socket.destroy(),
      () => {},
    );
  }

  /** What made it end, not what was sent last: a QEMU that is dumping core when it is killed died of something else. */
  #askedFor(signal: NodeJS.Signals | null): 'quit' | 'kill' | undefined {
    if (this.#killSent && signal === 'SIGKILL') return 'kill';
    return this.#quitSent ? 'quit' : undefined;
  }

  get #running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  async #drain(): Promise<void> {
    const closed = new Promise((resolve) => this.#child.once('close', resolve));
    await this.exited;
    const timer = setTimeout(() => {
      this.#child.stdout!.destroy();
      this.#child.stderr!.destroy();
    }, DRAIN_MS);
    await closed;
    clearTimeout(timer);
  }

  async #settle(cwd: string): Promise<void> {
    await this.#drained;
    const { code, signal, asked } = await this.exited;
    if (code === 0 || (asked === 'kill' && signal === 'SIGKILL')) return;
    const { assertion } = this.#stderr;
    this.#recorder.record(
      await postMortem({ pid: this.pid, cwd, executable: this.#executable, code, signal, assertion }),
    );
  }

  #client<T>(dialled: Dialled | undefined, what: string, open: (socket: Socket) => Promise<T>): Promise<T> {
    const ended = this.#drained.then(async () => {
      throw exitError(await this.exited, what, this.#stderr.tail);
    });
    const opened = dialled
      ? dialled.socket.then(open).catch((error: unknown) => {
          // The connection breaks a moment before the exit is known, and the exit tells more.
          if (error instanceof QemuError && error.code === 'ERR_QEMU_SOCKET') return ended;
          throw error;
        })
      : Promise.reject(new QemuError('ERR_QEMU_START', `started without ${what}`, 'launch() was given no path for it'));
    const client = Promise.race([opened, ended]);
    // Whoever waits for it gets the error; a QEMU that nobody talks to may die in silence.
    client.catch(() => {});
    ended.catch(() => {});
    return client;
  }
}

function exitError({ code, signal }: QemuExit, what: string, tail: readonly string[]): QemuError {
  const how = signal === null ? `exited with code ${code}` : `was ended by ${signal}`;
  // A hint of QEMU's may follow the line that matters.
  const words = tail.slice(-3).join(' | ');
  const message = `QEMU ${how} before ${what} was there${words && `: ${words}`}`;
  return new QemuError('ERR_QEMU_EXITED', message, words ? 'its own words say why' : 'it said nothing');
}

/** Raises the soft limit to the hard one, then becomes the program. */
const RAISE_CORE_LIMIT = ['/bin/sh', '-c', 'ulimit -S -c "$(ulimit -H -c)"; exec "$@"', 'sh'];

let prefix: Promise<string[]> | undefined;

/**
 * The command prefix by which a program is killed when its parent dies, e.g. by SIGKILL: util-linux's setpriv, where it is
 * there (busybox has one without this option). The parent is the thread that starts the program.
 */
function dieWithParent(): Promise<string[]> {
  prefix ??= (async () => {
    const setpriv = await findProgram('setpriv');
    if (setpriv === undefined) return [];
    const { code } = await boundedRun([setpriv, '--pdeathsig', 'KILL', '--', 'true'], { timeMs: 10_000 });
    return code === 0 ? [setpriv, '--pdeathsig', 'KILL', '--'] : [];
  })();
  return prefix;
}
