import { readFile, rename, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Case } from '../cases/index.js';
import type { QemuFacts } from '../qemu/index.js';
import { count } from '../report/index.js';
import { type Expectations, loadExpectations, type RunResult, updateExpectations } from '../runner/index.js';
import { allVariants } from './catalogue.js';
import type { Io } from './io.js';
import { NONE } from './settings.js';
import { systemReason } from './system-error.js';
import { UsageError } from './usage-error.js';

/**
 * What is expected of a QEMU: by the given file, by the package's own for this build, or nothing.
 * @throws CatalogueError
 */
export async function readExpectations(
  io: Pick<Io, 'cwd'>,
  given: string | undefined,
  facts: QemuFacts,
  cases: readonly Case[],
): Promise<Expectations | undefined> {
  if (given === NONE) return undefined;
  return loadExpectations(given === undefined ? undefined : resolve(io.cwd, given), facts, allVariants(cases));
}

/** An expectation file as it was when the run began; without a text there was none. */
export interface ToUpdate {
  file: string;
  text: string | undefined;
}

/** The expectation file to be updated; it may be a new one. @throws UsageError */
export async function fileToUpdate(io: Pick<Io, 'cwd'>, given: string | undefined): Promise<ToUpdate> {
  if (given === undefined || given === NONE)
    throw new UsageError('ERR_USAGE', '--update-expected has no file to write', 'name it: --expected FILE');
  const file = resolve(io.cwd, given);
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    // What cannot be read is told by who reads it; what is not there is to be made.
    return error.code === 'ENOENT' ? undefined : '';
  });
  return { file, text };
}

/** Writes what a run saw. @returns the line to say */
export async function updateFile(
  { file, text }: ToUpdate,
  result: RunResult,
  facts: QemuFacts,
  cases: readonly Case[],
): Promise<string> {
  const updated = updateExpectations(text, result, facts, allVariants(cases));
  await writeFile(`${file}.part`, updated.text)
    .then(() => rename(`${file}.part`, file))
    .catch((error: NodeJS.ErrnoException) => {
      throw new UsageError('ERR_OUT', `cannot write ${file}: ${systemReason(error)}`, 'the run itself is stored', {
        cause: error,
      });
    });
  const open = updated.unexplained === 0 ? '' : `, ${updated.unexplained} without a reason: look into them`;
  return `${file}: ${count(updated.changed, 'failure')} written${open}\n`;
}
