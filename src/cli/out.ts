import { mkdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { systemReason } from './system-error.js';
import { UsageError } from './usage-error.js';

/** Makes a new folder for a run, named by the time (UTC). @throws UsageError ERR_OUT */
export function makeOut(parent: string): string {
  const time = new Date().toISOString().slice(0, 19).replaceAll(':', '-');
  try {
    makeFolder(parent);
    for (let n = 1; ; n++) {
      const out = join(parent, n === 1 ? time : `${time}-${n}`);
      if (makeNew(out)) return out;
    }
  } catch (error) {
    throw unwritable(parent, error as NodeJS.ErrnoException);
  }
}

/**
 * Makes a folder and what is missing above it. (mkdir with `recursive` never returns below /proc.)
 * @throws the system's error
 */
export function makeFolder(dir: string): void {
  if (statSync(dir, { throwIfNoEntry: false })?.isDirectory()) return;
  if (dirname(dir) !== dir) makeFolder(dirname(dir));
  // Another run may be making the same.
  if (!makeNew(dir) && !statSync(dir).isDirectory()) mkdirSync(dir);
}

/** Whether the file system failed at something in the output folder, e.g. for want of space. */
export function isFileTrouble(error: unknown, out: string): error is NodeJS.ErrnoException {
  return error instanceof Error && 'path' in error && String(error.path).startsWith(out);
}

/** The error for a folder that cannot be written to. */
export function unwritable(dir: string, cause: NodeJS.ErrnoException): UsageError {
  const hint = 'choose another folder with --out';
  return new UsageError('ERR_OUT', `cannot write reports in ${dir}: ${systemReason(cause)}`, hint, { cause });
}

function makeNew(dir: string): boolean {
  try {
    mkdirSync(dir);
    return true;
  } catch (error) {
    // Another run of the same second.
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}
