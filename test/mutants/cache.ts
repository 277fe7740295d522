import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readFile, rename, rm, statfs, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { Interrupted } from './commands.js';
import { Trouble } from './trouble.js';

/** The folder of everything that is kept between builds. */
export function cacheDir(env: NodeJS.ProcessEnv, cwd: string): string {
  const own = env.VHOST_RECONNECT_CACHE;
  if (own) return resolve(cwd, own);
  return join(resolve(cwd, env.XDG_CACHE_HOME || join(homedir(), '.cache')), 'vhost-reconnect');
}

/** Text of a file, undefined when there is none. */
export async function readIfThere(path: string): Promise<string | undefined> {
  return readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw error;
  });
}

/** Writes a file that is seen whole or not at all. */
export async function writeWhole(path: string, content: string): Promise<void> {
  const temporary = `${path}.partial`;
  await mkdir(dirname(path), { recursive: true });
  try {
    await writeFile(temporary, content, { flush: true });
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** @throws Trouble when fewer than so many MB are free for the folder, which exists */
export async function demandSpace(dir: string, wantedMb: number): Promise<void> {
  const { bavail, bsize } = await statfs(dir);
  const freeMb = Math.floor((bavail * bsize) / 1e6);
  if (freeMb >= wantedMb) return;
  throw new Trouble(
    `${wantedMb} MB are needed in ${dir}, ${freeMb} MB are free`,
    'free some space, or name another folder: VHOST_RECONNECT_CACHE=DIR',
  );
}

/** A lock that its holder's children share as they inherit the descriptor. It ends with the last of them. */
export interface Lock {
  fd: number;
  release(): Promise<void>;
}

/** Exit code of flock for a lock that another one has; 1 also stands for other trouble. */
const TAKEN = 75;

/**
 * Takes the only lock of a folder, which exists.
 * @param onWait told once when another process has it
 * @throws Interrupted, Trouble
 */
export async function lockFolder(dir: string, signal: AbortSignal, onWait: () => void): Promise<Lock> {
  const handle = await open(join(dir, 'lock'), 'a');
  const flock = async (...options: string[]): Promise<number | null> => {
    // The lock belongs to the open file, not to the process that takes it.
    const argv = ['--pdeathsig', 'TERM', '--', 'flock', ...options, '3'];
    const child = spawn('setpriv', argv, { stdio: ['ignore', 'ignore', 'inherit', handle.fd], signal });
    const [code] = (await once(child, 'close')) as [number | null];
    return code;
  };
  try {
    let code = await flock('--nonblock', '--conflict-exit-code', String(TAKEN));
    if (code === TAKEN) {
      onWait();
      code = await flock();
    }
    if (code !== 0) throw new Trouble(`cannot lock ${dir}`, 'name a folder on a local disk: VHOST_RECONNECT_CACHE=DIR');
    return { fd: handle.fd, release: () => handle.close() };
  } catch (error) {
    await handle.close();
    if (signal.aborted) throw new Interrupted();
    if ((error as NodeJS.ErrnoException).code === 'ENOENT')
      throw new Trouble('there is no setpriv', 'it belongs to util-linux 2.33 or newer');
    throw error;
  }
}
