import { spawn } from 'node:child_process';
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { boundedRun, type Execute, parseQmp, QemuError, QmpClient, recordedCommands, refusal } from '../qemu/index.js';
import type { Json, Recording } from '../timeline/index.js';
import { DrillError } from './error.js';

/** How an operator's QEMU is asked. */
export interface Monitor {
  /** For people. */
  readonly how: string;
  /** See QmpClient. @throws QmpError when QEMU refuses, QemuError when the connection is lost */
  execute: Execute;
  /** Resolves when the monitor is lost, with what is known of why. */
  readonly lost: Promise<string>;
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
      const lost = new Promise<string>((resolve) => {
        socket.once('close', () => resolve('the connection was closed'));
      });
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
export function pause(signal: AbortSignal): Promise<undefined> {
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
/** Its words are read. */
const ENV = { LC_ALL: 'C' };

/** How virsh is asked, beyond the domain. */
export interface VirshOptions {
  /** Called while the domain does not answer, with what virsh says. */
  waits?(why: string): void;
  /** virsh, with options such as --connect before the command. */
  program?: readonly [string, ...string[]];
}

/**
 * Asks through libvirt: `virsh qemu-monitor-command`, with the events of `virsh qemu-monitor-event`. Tries again and again until
 * the domain answers, and resolves then: it may begin to run later.
 * @throws DrillError ERR_MONITOR when there is no virsh, or what it says is no QMP; the signal's reason
 */
export async function virshMonitor(
  domain: string,
  recorder: Recording,
  signal: AbortSignal,
  { waits, program = ['virsh'] }: VirshOptions = {},
): Promise<Monitor> {
  for (;;) {
    signal.throwIfAborted();
    try {
      return await askVirsh(domain, recorder, program);
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof QemuError && error.code === 'ERR_QEMU_SOCKET'))
        throw new DrillError('ERR_MONITOR', `virsh: ${(error as Error).message}`, 'libvirt-clients has it');
      waits?.(error.message);
      await pause(signal);
    }
  }
}

async function askVirsh(
  domain: string,
  recorder: Recording,
  program: readonly [string, ...string[]],
): Promise<Monitor> {
  let lostBy: string | undefined;
  let lose = (_why: string) => {};
  const lost = new Promise<string>((resolve) => {
    lose = (why) => {
      lostBy ??= why;
      resolve(lostBy);
    };
  });
  const send = async (line: string): Promise<Json> => {
    if (lostBy !== undefined) throw unanswered(lostBy);
    const argv: [string, ...string[]] = [...program, 'qemu-monitor-command', '--domain', domain, line];
    const { stdout, stderr, code, exceeded } = await boundedRun(argv, { timeMs: VIRSH_MS, env: ENV });
    if (code !== 0) {
      const error = unanswered(exceeded ? `no answer in ${VIRSH_MS} ms` : firstLine(stderr) || `exit code ${code}`);
      lose(error.message);
      throw error;
    }
    const answer = parseQmp(stdout.trim());
    if ('return' in answer) return answer.return ?? null;
    throw refusal(answer.error);
  };
  let ready = false;
  // Before the question, which takes as long: an event after its answer is not missed.
  const events = virshEvents(domain, program, lose, (event, data) => {
    if (ready) recorder.record({ type: 'qmp.event', event, data });
  });
  void lost.then(events.end);
  try {
    await send('{"execute":"query-version"}');
  } catch (error) {
    lose('');
    throw error;
  }
  recorder.record({ type: 'qmp.ready' });
  ready = true;
  return { how: `virsh ${domain}`, execute: recordedCommands(recorder, send), lost, close: () => lose('closed') };
}

const unanswered = (why: string) => new QemuError('ERR_QEMU_SOCKET', why, 'is the domain running?');
const firstLine = (text: string) => text.trim().split('\n')[0]!;

/** `event STOP at 1795879465.817358 for domain 'vm1': <null>`, or with the data as JSON. */
const EVENT_LINE = /^event (\w+) at \S+ for domain '.*?': (<null>|\{.*\})$/;

/** Reads QEMU's events as libvirt passes them on, also those of a domain that begins to run later. `lose` is told when they end. */
function virshEvents(
  domain: string,
  [program, ...options]: readonly [string, ...string[]],
  lose: (why: string) => void,
  take: (event: string, data: Json) => void,
): { end(): void } {
  // A session of its own: a terminal's Ctrl-C is for the tester alone.
  const child = spawn(program, [...options, 'qemu-monitor-event', '--domain', domain, '--loop'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
    env: { ...process.env, ...ENV },
  });
  const end = () => {
    process.removeListener('exit', end);
    child.kill();
  };
  process.once('exit', end);
  child.once('error', (error) => lose(error.message));
  if (child.pid === undefined) return { end };
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(0, 1000);
  });
  createInterface(child.stdout).on('line', (line) => {
    const [, event, data] = EVENT_LINE.exec(line) ?? [];
    try {
      if (event !== undefined) take(event, data === '<null>' ? {} : parseQmp(data!));
    } catch (error) {
      lose((error as Error).message);
    }
  });
  child.once('close', () => lose(firstLine(said) || 'virsh qemu-monitor-event ended'));
  return { end };
}
