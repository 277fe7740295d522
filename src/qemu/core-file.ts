import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { boundedRun } from './bounded-run.js';
import { findProgram } from './locate.js';

/** A process that may have left a core. */
export interface Dead {
  pid: number;
  /** Its working directory. */
  cwd: string;
}

/** How long coredumpctl may take to write a core out. */
const COREDUMPCTL_MS = 20_000;

/** The kernel's rule for cores, see core(5). */
export async function corePattern(): Promise<string> {
  return (await readFile('/proc/sys/kernel/core_pattern', 'utf8')).trim();
}

/**
 * The path of the core that a process left, where that is cheap to tell: a file by the kernel's pattern, or
 * systemd's collection.
 * @param pattern as of corePattern()
 * @returns the path, or why there is none
 */
export async function findCore({ pid, cwd }: Dead, pattern: string): Promise<{ path: string } | { none: string }> {
  if (pattern.startsWith('|')) return fromCollector(pid, cwd, pattern);
  // Relative to the process's working directory; %p is its id, and without it the kernel may add `.PID`.
  const path = resolve(cwd, pattern);
  const name = basename(path).split(/(%.)/).map(specifier).join('');
  const files = new RegExp(`^${name.replaceAll('%p', String(pid))}(?:\\.${pid})?$`);
  const found = (await readdir(dirname(path)).catch(() => [])).filter((file) => files.test(file));
  // In a folder shared with other processes, only a name with the process's id tells whose core it is.
  const shared = (await real(dirname(path))) !== (await real(cwd));
  for (const file of found) {
    if (shared && !file.includes(String(pid))) continue;
    const core = join(dirname(path), file);
    if ((await stat(core)).size > 0) return { path: core };
  }
  return { none: `no core by the kernel's pattern ${pattern} (is the limit of core files 0?)` };

  function specifier(part: string): string {
    if (part === '%p') return part;
    if (part === '%%') return '%';
    return part.startsWith('%') ? '.*' : part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  }
}

async function fromCollector(pid: number, cwd: string, pattern: string): Promise<{ path: string } | { none: string }> {
  const coredumpctl = pattern.includes('systemd-coredump') ? await findProgram('coredumpctl') : undefined;
  if (coredumpctl === undefined) return { none: `cores go to a program: ${pattern}` };
  const path = join(cwd, 'core.collected');
  const run = await boundedRun([coredumpctl, 'dump', String(pid), `--output=${path}`], { timeMs: COREDUMPCTL_MS });
  return run.code === 0 ? { path } : { none: `coredumpctl has no core of process ${pid}` };
}

function real(path: string): Promise<string> {
  return realpath(path).catch(() => path);
}
