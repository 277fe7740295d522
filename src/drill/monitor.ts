import { connect, type Socket } from 'node:net';
import { boundedRun, parseQmp, QemuError, QmpClient, QmpError } from '../qemu/index.js';
import type { Json, Recording } from '../timeline/index.js';
import { DrillError } from './error.js';

/** How an operator's QEMU is asked. */
export interface Monitor {
  /** For people. */
  readonly how: string;
  /** See QmpClient. @throws QmpError when QEMU refuses, QemuError when the connection is lost */
  execute(command: string, args?: Json, options?: { silent?: boolean }): Promise<Json>;
  /** Resolves when the monitor is lost. */
  readonly lost: Promise<void>;
  close(): void;
}

/** Commands that only look. What else is sent, an operator asked for by name. */
const LOOKING: ReadonlySet<string> = new Set([
  'qom-get',
  'query-chardev',
  'query-name',
  'query-status',
  'query-version',
]);

/** A monitor by which nothing can be changed by mistake. @throws TypeError for a command that does more than look */
export function onlyLooking(monitor: Monitor): Pick<Monitor, 'execute'> {
  return {
    execute(command, args, options) {
      if (!LOOKING.has(command)) throw new TypeError(`${command} may change the virtual machine`);
      return monitor.execute(command, args, options);
    },
  };
}

const REDIAL_MS = 1000;

/**
 * Dials a QMP socket that QEMU listens on, again and again until somebody is there, and resolves when QEMU greets: a QEMU that
 * starts up does so after the handshake of its netdev, and one that has another client not before that has left.
 * @throws DrillError ERR_MONITOR when it is no QMP; the signal's reason
 */
export async function dialMonitor(path: string, recorder: Recording, signal: AbortSignal): Promise<Monitor> {
  for (;;) {
    signal.throwIfAborted();
    const socket = await dial(path, signal);
    if (socket === undefined) continue;
    const abort = () => socket.destroy();
    // It may have been aborted while it was dialled.
    if (signal.aborted) abort();
    signal.throwIfAborted();
    signal.addEventListener('abort', abort);
    try {
      let gone = () => {};
      const lost = new Promise<void>((resolve) => {
        gone = resolve;
      });
      socket.once('close', gone);
      const client = await QmpClient.open(socket, recorder);
      return {
        how: `QMP ${path}`,
        execute: (...args) => client.execute(...args),
        lost,
        close: () => client.close(),
      };
    } catch (error) {
      signal.throwIfAborted();
      // A QEMU that ended before it greeted is like one that is not there yet.
      if (error instanceof QemuError && error.code === 'ERR_QEMU_SOCKET') {
        await pause(signal);
        continue;
      }
      throw new DrillError('ERR_MONITOR', `${path}: ${(error as Error).message}`, 'name a socket of -qmp');
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }
}

/** One try; waits for the next one where nobody is there. */
function dial(path: string, signal: AbortSignal): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => resolve(socket));
    socket.once('error', () => resolve(pause(signal)));
  });
}

/** Until the next try; cut short by the signal. */
function pause(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, REDIAL_MS);
    function done() {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve(undefined);
    }
    if (signal.aborted) done();
    else signal.addEventListener('abort', done);
  });
}

/** A question by virsh takes a process and two hops. */
const VIRSH_MS = 30_000;

/**
 * Asks through libvirt: `virsh qemu-monitor-command`. Events do not come this way.
 * @param program virsh, with options such as --connect before the command
 * @throws DrillError ERR_MONITOR when there is no such domain, or no virsh
 */
export async function virshMonitor(
  domain: string,
  recorder: Recording,
  program: readonly [string, ...string[]] = ['virsh'],
): Promise<Monitor> {
  let gone = () => {};
  const lost = new Promise<void>((resolve) => {
    gone = resolve;
  });
  let commands = 0;
  const send = async (command: string, args: Json | undefined): Promise<Json> => {
    const line = JSON.stringify({ execute: command, ...(args === undefined ? {} : { arguments: args }) });
    const argv: [string, ...string[]] = [...program, 'qemu-monitor-command', '--domain', domain, line];
    const { stdout, stderr, code } = await boundedRun(argv, { timeMs: VIRSH_MS });
    if (code !== 0) {
      gone();
      throw new QemuError(
        'ERR_QEMU_SOCKET',
        `virsh: ${stderr.trim().split('\n')[0] || `exit code ${code}`}`,
        'is the domain running?',
      );
    }
    const answer = parseQmp(stdout.trim());
    if ('return' in answer) return answer.return ?? null;
    const { class: errorClass, desc } = (answer.error ?? {}) as { class?: Json; desc?: Json };
    throw new QmpError(String(errorClass), String(desc));
  };
  const execute: Monitor['execute'] = async (command, args, { silent = false } = {}) => {
    if (silent) return send(command, args);
    const id = commands++;
    const sent = recorder.now();
    recorder.record({ type: 'qmp.command', id, execute: command, ...(args === undefined ? {} : { arguments: args }) });
    const reply = () => ({ type: 'qmp.reply', id, execute: command, latency: recorder.now() - sent }) as const;
    try {
      const value = await send(command, args);
      recorder.record({ ...reply(), value });
      return value;
    } catch (error) {
      if (error instanceof QmpError) recorder.record({ ...reply(), error: error.desc, errorClass: error.errorClass });
      throw error;
    }
  };
  try {
    await send('query-version', undefined);
  } catch (error) {
    throw new DrillError('ERR_MONITOR', `domain ${domain}: ${(error as Error).message}`, 'virsh list shows what runs');
  }
  recorder.record({ type: 'qmp.ready' });
  return { how: `virsh ${domain}`, execute, lost, close: gone };
}
