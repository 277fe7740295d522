import { spawn } from 'node:child_process';

/** What became of a program that was given bounds. */
export interface BoundedRun {
  /** stdout, then stderr, as UTF-8, cut at `maxBytes` each. */
  stdout: string;
  stderr: string;
  code: number | null;
  signal: NodeJS.Signals | null;
  /** Which bound ended it, if one did. */
  exceeded?: 'time' | 'output';
}

/** How long output is still read after the program's end, if something that it left behind keeps its pipes open. */
const DRAIN_MS = 1000;

/**
 * Runs a program to its end, or kills it (with its children) when it takes too long or says too much. stdin is empty.
 * @param env added to the environment
 * @throws the system's error (ENOENT, EACCES) when it cannot be started
 */
export function boundedRun(
  argv: readonly [string, ...string[]],
  { timeMs, maxBytes = 1 << 20, env = {} }: { timeMs: number; maxBytes?: number; env?: Record<string, string> },
): Promise<BoundedRun> {
  const [program, ...args] = argv;
  return new Promise((resolve, reject) => {
    // A session of its own: it can be killed together with its children, and a terminal's Ctrl-C is for the tester alone.
    const child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
      env: { ...process.env, ...env },
    });
    child.once('error', reject);
    if (child.pid === undefined) return;
    const group = -child.pid;
    const run: BoundedRun = { stdout: '', stderr: '', code: null, signal: null };
    const stop = (exceeded: 'time' | 'output') => {
      if (child.exitCode !== null || child.signalCode !== null || run.exceeded) return;
      run.exceeded = exceeded;
      process.kill(group, 'SIGKILL');
    };
    const timer = setTimeout(stop, timeMs, 'time');
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].setEncoding('utf8').on('data', (text: string) => {
        run[name] = (run[name] + text).slice(0, maxBytes);
        if (run[name].length >= maxBytes) stop('output');
      });
    }
    child.once('exit', () => {
      clearTimeout(timer);
      const drain = setTimeout(() => {
        child.stdout.destroy();
        child.stderr.destroy();
      }, DRAIN_MS);
      child.once('close', (code, signal) => {
        clearTimeout(drain);
        resolve({ ...run, code, signal });
      });
    });
  });
}
