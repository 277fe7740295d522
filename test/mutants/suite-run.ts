import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, open, readdir, readFile, rename, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Selection } from '../../src/cases/index.js';
import type { RunResult } from '../../src/runner/index.js';
import { Trouble } from './trouble.js';

/** What selects a defect in the defective QEMU. */
export const DEFECT_VARIABLE = 'VHOST_RECONNECT_DEFECT';

/** Exit codes of a run that came to its end, whatever it found. */
const ENDED: readonly (number | null)[] = [0, 1, 3, 4];

export interface SuiteRunOptions {
  /** The tester: a program and its first arguments. */
  suite: readonly string[];
  /** The QEMU under test; without one the tester looks for the installed one itself. */
  qemu?: string;
  /** The defect that the QEMU shall have; without one it has none. */
  defect?: string;
  selection: Selection;
  /** Expectation file; without one the tester looks for the one of the build. */
  expected?: string;
  /** Ends the run at the first failure that is not expected. */
  failFast?: boolean;
  /** Variants side by side. */
  jobs: number;
  /** Folder to make, for everything that the run leaves. */
  dir: string;
  /** Ends the run early, in order. */
  signal: AbortSignal;
}

/**
 * One run of the suite as anybody would start it: the product's command line, judged by its results.json. It leaves
 * `results.json`, `junit.xml` and `timelines/` in `dir`, beside `tester.log` (what it said) and `qemu`, a script that is the
 * QEMU with its defect, so that the commands in the reports run that again.
 * @returns undefined when `signal` ended it
 * @throws Trouble when it did not come to its end; the file system's error
 */
export async function runSuite(options: SuiteRunOptions): Promise<RunResult | undefined> {
  const { qemu, selection, expected, failFast, jobs, dir, signal } = options;
  await mkdir(dir, { recursive: true });
  const script = qemu === undefined ? undefined : await writeScript(join(dir, 'qemu'), qemu, options.defect);
  const args = [
    ...['run', '--quiet', '--level', 'should', '--selection', selection, '--jobs', String(jobs), '--out', dir],
    ...(expected === undefined ? [] : ['--expected', expected]),
    ...(failFast ? ['--fail-fast'] : []),
    ...(script ? ['--qemu', script] : []),
  ];
  const { code, said } = await execute([...options.suite, ...args], dir, signal);
  if (signal.aborted) return undefined;
  const result = ENDED.includes(code) ? await collect(dir) : undefined;
  if (!result) throw new Trouble(`the suite did not come to its end (${code ?? 'killed'}): ${said}`, `see ${dir}`);
  return result;
}

/** A QEMU with one defect as a program of its own. The tester refuses variables in its environment that it does not know. */
async function writeScript(path: string, qemu: string, defect: string | undefined): Promise<string> {
  const quoted = `'${qemu.replaceAll("'", "'\\''")}'`;
  const environment = defect === undefined ? `unset ${DEFECT_VARIABLE}` : `export ${DEFECT_VARIABLE}=${defect}`;
  await writeFile(path, `#!/bin/sh\n${environment}\nexec ${quoted} "$@"\n`, { mode: 0o755 });
  return path;
}

/**
 * The tester dies with us, and in order. It gets no core files: a defect that kills QEMU in every variant would cost a
 * backtrace each, and the verdict is the same without.
 */
const PREFIX = ['setpriv', '--pdeathsig', 'TERM', '--', '/bin/sh', '-c', 'ulimit -c 0; exec "$@"', 'sh'];

/** @returns the exit code, null when a signal ended it, and the last line that it said */
async function execute(
  command: readonly string[],
  cwd: string,
  signal: AbortSignal,
): Promise<{ code: number | null; said: string }> {
  const path = join(cwd, 'tester.log');
  const log = await open(path, 'w');
  try {
    // A process group of its own: a terminal's Ctrl-C comes to us alone, and is passed on once.
    const [program, ...args] = [...PREFIX, ...command];
    const child = spawn(program!, args, {
      // Nobody's configuration file, and nobody's settings, change what the suite is.
      cwd,
      env: bareEnvironment(),
      stdio: ['ignore', log.fd, log.fd],
      detached: true,
    });
    const stop = () => child.kill('SIGTERM');
    signal.addEventListener('abort', stop);
    try {
      if (signal.aborted) stop();
      const [code] = (await once(child, 'exit')) as [number | null];
      return { code, said: (await readFile(path, 'utf8')).trim().split('\n').at(-1) ?? '' };
    } catch (error) {
      throw new Trouble(`cannot start the suite: ${(error as Error).message}`, 'setpriv of util-linux is needed');
    } finally {
      signal.removeEventListener('abort', stop);
    }
  } finally {
    await log.close();
  }
}

function bareEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('VHOST_RECONNECT_')));
}

/** Moves the reports up from the folder that the tester named by the time. */
async function collect(dir: string): Promise<RunResult | undefined> {
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    const made = join(dir, entry.name);
    const has =
      entry.isDirectory() &&
      (await access(join(made, 'results.json')).then(
        () => true,
        () => false,
      ));
    if (!has) continue;
    for (const name of await readdir(made)) await rename(join(made, name), join(dir, name));
    await rmdir(made);
    return JSON.parse(await readFile(join(dir, 'results.json'), 'utf8')) as RunResult;
  }
  return undefined;
}
