import { readFile, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { z } from 'zod';
import { readTimeline, type Timeline } from '../timeline/index.js';
import type { RunResult, VariantResult } from './result.js';
import { runResult } from './result-schema.js';

/** The file of a run's folder that has its result. */
export const RESULTS = 'results.json';

/** The expectation file that was used, as it was. */
export const EXPECTED = 'expected.yaml';

/** For who misses a timeline. */
export const TIMELINE_HINT = 'timelines lie beside results.json; were they left behind when it was copied?';

/** What is no run of ours, or one that cannot be read: where, and why. */
export class StoredRunError extends Error {
  override readonly name = 'StoredRunError';
  readonly code = 'ERR_RUN';

  constructor(
    message: string,
    readonly hint: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** A run that ended, as it lies in its folder. */
export interface StoredRun {
  /** The run's folder. */
  dir: string;
  result: RunResult;
}

const HINT = `give the folder that a run made in its --out, or the ${RESULTS} in it`;

/**
 * Reads what a run left.
 * @param path the run's folder, or its results.json
 * @throws StoredRunError when there is none, or when it is not what a run writes
 */
export async function readRun(path: string): Promise<StoredRun> {
  const trouble = (why: string, cause?: unknown) => new StoredRunError(`${path}: ${why}`, HINT, { cause });
  const isFolder = await stat(path).then(
    (stats) => stats.isDirectory(),
    (cause: unknown) => {
      throw trouble(reason(cause), cause);
    },
  );
  const file = isFolder ? join(path, RESULTS) : path;
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw trouble(isFolder ? `no run's folder: ${RESULTS}: ${reason(cause)}` : reason(cause), cause);
  });
  let written: unknown;
  try {
    written = JSON.parse(text);
  } catch (cause) {
    throw trouble(`no JSON: ${(cause as Error).message}`, cause);
  }
  const { data: result, error } = runResult.safeParse(written);
  if (!result) throw trouble(`is not what a run of this tester writes: ${firstMistake(error)}`, error);
  return { dir: resolve(dirname(file)), result };
}

/**
 * The timeline of a stored result.
 * @throws StoredRunError when the run has none of it, or it cannot be read
 */
export async function timelineOf(run: StoredRun, { variant, timeline }: VariantResult): Promise<Timeline> {
  if (timeline === undefined) throw new StoredRunError(`${variant} was not run and has no timeline`, 'choose another');
  const file = join(run.dir, timeline);
  try {
    return await readTimeline(file);
  } catch (cause) {
    const why = 'line' in (cause as object) ? (cause as Error).message : `${file}: ${reason(cause)}`;
    throw new StoredRunError(`${variant}: ${why}`, TIMELINE_HINT, { cause });
  }
}

/** `ENOENT: no such file or directory, open 'x'` without its code and what we say ourselves. */
const reason = (cause: unknown) => (cause as Error).message.replace(/^E[A-Z]+: ([^,]*),.*$/s, '$1');

/** Where a result differs from what the schema has, and how. */
function firstMistake({ issues: [first] }: z.ZodError): string {
  return `${first!.path.join('.') || 'the whole'}: ${first!.message}`;
}
