import { type ChildProcess, spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { QemuError } from './qemu-error.js';

/** A directory of one variant. */
export interface PrivateDir {
  path: string;
  /** Removes it with all that is in it. */
  remove(): Promise<void>;
}

/** sockaddr_un holds 107 bytes and a NUL. */
const MAX_SOCKET_PATH = 107;
/** Room for `/9999/` and the longest name of a socket, with something to spare. */
const MAX_RUN_DIR = MAX_SOCKET_PATH - 32;

/**
 * Waits for a line, which means an orderly end, or until the tester is gone: then the pipe closes, whatever ended it. In
 * that case it kills what still runs in the run's directory: a QEMU whose parent-death signal did not work out. Removes
 * the directory. $1 is the directory, $2 the prefix of its name.
 */
const REAPER = `
trap '' HUP INT TERM
case $1 in /*/"$2"-??????) ;; *) exit 1 ;; esac
read -r line || for process in /proc/[0-9]*; do
  case $(readlink "$process/cwd") in "$1"/*) kill -KILL "\${process#/proc/}" ;; esac
done
for attempt in 1 2 3 4 5; do
  rm -rf -- "$1" && exit
  sleep 1
done
`;

/**
 * The directory of one run, with private directories for its variants. It is gone when the run is: a reaper process
 * removes it, also after a SIGKILL of the tester.
 */
export class Workspace {
  /** Absolute and short: unix sockets are made below it. */
  readonly path: string;
  readonly #reaper: ChildProcess;
  #dirs = 0;

  private constructor(path: string, reaper: ChildProcess) {
    this.path = path;
    this.#reaper = reaper;
  }

  /**
   * Makes a directory with a random name in the system's folder for temporary files; only this user may enter.
   * @throws QemuError ERR_WORKSPACE
   */
  static async create(prefix = 'vhost-reconnect'): Promise<Workspace> {
    const path = await mkdtemp(join(tmpdir(), `${prefix}-`)).catch((cause: unknown) => {
      throw new QemuError('ERR_WORKSPACE', `cannot make a directory: ${cause}`, 'set TMPDIR to a writable folder');
    });
    try {
      if (Buffer.byteLength(path) > MAX_RUN_DIR)
        throw new QemuError('ERR_WORKSPACE', `${path} is too long for unix sockets`, 'set TMPDIR to a shorter path');
      return new Workspace(path, await startReaper(path, prefix));
    } catch (error) {
      await rm(path, { recursive: true });
      throw error;
    }
  }

  /** The path of a file that all variants share. */
  file(name: string): string {
    return join(this.path, name);
  }

  /** Makes a new private directory. */
  async makeDir(): Promise<PrivateDir> {
    const path = join(this.path, String(this.#dirs++));
    await mkdir(path);
    // A handful of sockets: the asynchronous form costs four times the CPU for the same.
    return { path, remove: async () => rmSync(path, { recursive: true, force: true }) };
  }

  /** Removes everything; resolves when it is gone. No QEMU runs in it any more. */
  async close(): Promise<void> {
    const reaper = this.#reaper;
    if (reaper.exitCode === null && reaper.signalCode === null) {
      const done = new Promise((resolve) => reaper.once('exit', resolve));
      reaper.ref();
      reaper.stdin!.end('done\n');
      await done;
    }
    await rm(this.path, { recursive: true, force: true });
  }
}

async function startReaper(path: string, prefix: string): Promise<ChildProcess> {
  const reaper = spawn('/bin/sh', ['-c', REAPER, 'reaper', path, prefix], {
    cwd: '/',
    // A session of its own: Ctrl-C and the end of a terminal are not for it.
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  await new Promise((resolve, reject) => reaper.once('spawn', resolve).once('error', reject));
  // It waits for us, not we for it.
  reaper.unref();
  (reaper.stdin as unknown as { unref(): void }).unref();
  return reaper;
}
