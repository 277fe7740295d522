import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile } from 'node:fs/promises';
import { Trouble } from './trouble.js';

/** Asked to stop: no result, and nothing is wrong. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
}

export interface Surroundings {
  /** Aborts when the tool is asked to stop. */
  signal: AbortSignal;
  /** Everything that commands say is appended to this file. */
  log: string;
  /** An open descriptor that commands inherit: what is locked by it stays locked until the last of them has ended. */
  lock: number;
}

export interface Command {
  /** What it does, for messages: `building QEMU`. */
  task: string;
  argv: readonly [string, ...string[]];
  cwd: string;
  env?: NodeJS.ProcessEnv;
  /** Told every line, without its end. */
  onLine?(line: string): void;
}

/** How a command ended. */
export interface Ending {
  /** 0 is success; undefined when a signal ended it. */
  code: number | undefined;
  /** Everything that it said on stdout and stderr. */
  lines: string[];
}

/** Settings of a shell that would change what is built, or what is said about it. */
const DISTURBING =
  /^(C|CXX|CPP|OBJC|LD)FLAGS$|^(MAKEFLAGS|MFLAGS|MAKELEVEL|DESTDIR|NINJA_STATUS|VHOST_RECONNECT_DEFECT)$/;

/** The environment for commands: English words, and nothing that changes what is built. */
export function plainEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !DISTURBING.test(name));
  return { ...Object.fromEntries(kept), LC_ALL: 'C', LANGUAGE: '' };
}

/**
 * Runs a command to its end, in a process group of its own, which ends with this process.
 * @throws Interrupted when `signal` aborted; Trouble when its program is missing, or a disk is full
 */
export async function run(command: Command, { signal, log, lock }: Surroundings): Promise<Ending> {
  if (signal.aborted) throw new Interrupted();
  await appendFile(log, `$ ${command.argv.join(' ')}\n`);
  const child = spawn('setpriv', ['--pdeathsig', 'TERM', '--', ...command.argv], {
    cwd: command.cwd,
    env: command.env ?? plainEnvironment(),
    stdio: ['ignore', 'pipe', 'pipe', lock],
    // A terminal's Ctrl-C comes to this process alone, and is passed on once.
    detached: true,
  });
  const lines: string[] = [];
  let logged = Promise.resolve();
  const stop = () => {
    try {
      // As from a terminal, which a package manager at work knows how to take.
      process.kill(-child.pid!, 'SIGINT');
    } catch {
      // It has just ended.
    }
  };
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.setEncoding('utf8');
    let rest = '';
    stream.on('data', (text: string) => {
      const parts = (rest + text).split('\n');
      rest = parts.pop()!;
      take(parts);
    });
    stream.on('end', () => take(rest === '' ? [] : [rest]));
  }
  function take(parts: string[]): void {
    lines.push(...parts);
    // The log is a help; that it cannot be written is told by the command itself, which meets the same disk.
    const text = parts.map((part) => `${part}\n`).join('');
    if (text !== '') logged = logged.then(() => appendFile(log, text)).catch(() => undefined);
    for (const part of parts) command.onLine?.(part);
  }
  try {
    await once(child, 'spawn');
    signal.addEventListener('abort', stop);
    if (signal.aborted) stop();
    const [code] = (await once(child, 'close')) as [number | null];
    await logged;
    if (signal.aborted) throw new Interrupted();
    const full = lines.find((line) => /no space left on device|disk quota exceeded/i.test(line));
    if (code !== 0 && full !== undefined) throw diskFull(command.task, full.trim());
    return { code: code ?? undefined, lines };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT')
      throw new Trouble('there is no setpriv', 'it belongs to util-linux 2.33 or newer');
    throw error;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

export function diskFull(task: string, detail: string): Trouble {
  return new Trouble(
    `the disk is full while ${task}: ${detail}`,
    'free some space, or name another folder: VHOST_RECONNECT_CACHE=DIR',
  );
}

/** What a short question to a program answers on stdout. @returns undefined when there is no such program */
export async function ask(program: string, ...args: string[]): Promise<{ code: number; text: string } | undefined> {
  return new Promise((resolve, reject) => {
    execFile(program, args, { env: plainEnvironment() }, (error, text) => {
      if (!error) resolve({ code: 0, text });
      else if (error.code === 'ENOENT') resolve(undefined);
      else if (typeof error.code === 'number') resolve({ code: error.code, text });
      else reject(error);
    });
  });
}

/** A command that failed, with what it said last. */
export function failed(message: string, { lines }: Ending, { log }: Pick<Surroundings, 'log'>): Trouble {
  const telling = lines.filter((line) => /\berror\b|^E: |undefined reference/i.test(line));
  const shown = (telling.length > 0 ? telling.slice(0, 8) : lines.slice(-8)).map((line) => `\n  ${line}`).join('');
  return new Trouble(`${message}:${shown}`, `all of it is in ${log}`);
}
