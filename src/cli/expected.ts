import { constants } from 'node:fs';
import { access, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
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

/** The expectation file to be updated; it may be a new one. @throws UsageError where nothing can be written */
export async function fileToUpdate(io: Pick<Io, 'cwd'>, given: string | undefined): Promise<ToUpdate> {
  if (given === undefined || given === NONE)
    throw new UsageError('ERR_USAGE', '--update-expected has no file to write', 'name it: --expected FILE');
  const named = resolve(io.cwd, given);
  // Not the link, but what it leads to.
  const file = await realpath(named).catch(() => named);
  const text = await textOf(file);
  await access(text === undefined ? dirname(file) : file, constants.W_OK).catch((cause: NodeJS.ErrnoException) => {
    const hint = 'name a file that can be written with --expected';
    throw new UsageError('ERR_USAGE', `cannot write ${file}: ${systemReason(cause)}`, hint, { cause });
  });
  return { file, text };
}

/** What is not there is to be made; what cannot be read is told by who reads it. */
const textOf = (file: string) =>
  readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => (error.code === 'ENOENT' ? undefined : ''));

/** Writes what a run saw; whatever comes of that, the run keeps its verdict. @returns the lines to say */
export async function updateFile(
  { file, text }: ToUpdate,
  result: RunResult,
  facts: QemuFacts,
  cases: readonly Case[],
): Promise<string> {
  const part = `${file}.part`;
  try {
    const { text: updated, added, unexplained, wrong } = updateExpectations(text, result, facts);
    if ((await textOf(file)) !== text) return `${file}: nothing written: it was changed while the run went on\n`;
    if (updated !== text) {
      await writeFile(part, updated);
      await loadExpectations(part, facts, allVariants(cases));
      await rename(part, file);
    }
    const open = unexplained === 0 ? '' : `, ${unexplained} without a reason: look into them`;
    return [
      `${file}: ${count(added, 'new failure')} written${open}\n`,
      ...wrong.map((place) => `to be mended by hand: ${place}\n`),
    ].join('');
  } catch (error) {
    return `${file}: nothing written: ${(error as Error).message}\n`;
  } finally {
    await rm(part, { force: true });
  }
}
