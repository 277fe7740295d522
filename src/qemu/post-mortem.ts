import type { QemuPostMortem } from '../timeline/index.js';
import type { Assertion } from './assertion.js';
import { boundedRun } from './bounded-run.js';
import { corePattern, type Dead, findCore } from './core-file.js';
import { findProgram } from './locate.js';

/** How long gdb may take; reading the symbols of a QEMU with debug information takes seconds. */
const GDB_MS = 60_000;
const MAX_FRAMES = 60;

/** A QEMU that ended in a way that nobody asked for. */
export interface DeadQemu extends Dead {
  /** The binary that ran, for its symbols. */
  executable: string;
  code: number | null;
  signal: string | null;
  assertion: Assertion | undefined;
}

/** What is left of it: the assertion from stderr, and gdb's backtrace where gdb and a core are there. Never throws. */
export async function postMortem(dead: DeadQemu): Promise<QemuPostMortem> {
  const trace = await backtrace(dead).catch((error: unknown) => ({ noBacktrace: `failed: ${error}` }));
  return { type: 'qemu.post-mortem', ...(dead.assertion && { assertion: dead.assertion }), ...trace };
}

async function backtrace(dead: DeadQemu): Promise<{ backtrace: string[] } | { noBacktrace: string }> {
  if (dead.signal === null) return { noBacktrace: `it exited by itself with code ${dead.code}` };
  if (dead.signal === 'SIGKILL') return { noBacktrace: 'SIGKILL leaves no core' };
  const core = await findCore(dead, await corePattern());
  if ('none' in core) return { noBacktrace: core.none };
  const gdb = await findProgram('gdb');
  if (gdb === undefined) return { noBacktrace: `gdb is not installed; the core was ${core.path}` };
  const run = await boundedRun(
    [gdb, '-nx', '-batch', '-ex', `backtrace ${MAX_FRAMES}`, `--core=${core.path}`, dead.executable],
    // Symbols are not fetched over the network.
    { timeMs: GDB_MS, env: { DEBUGINFOD_URLS: '' } },
  );
  const frames = run.stdout.split('\n').filter((line) => /^#\d+ /.test(line));
  // gdb shows the innermost frame by itself when it loads a core.
  const first = frames.findLastIndex((line) => line.startsWith('#0 '));
  if (first >= 0) return { backtrace: frames.slice(first) };
  return { noBacktrace: run.exceeded ? `gdb took more than ${GDB_MS / 1000} s` : 'gdb found no frames' };
}
