import { pool } from './pool.js';
import type { RunResult, VariantResult } from './result.js';
import { type StoredRun, StoredRunError, TIMELINE_HINT, timelineOf } from './stored-run.js';
import { assess, excerpt } from './verdict.js';

/** Reading and judging take turns; more at a time would only hold more timelines in memory. */
const AT_A_TIME = 4;

/**
 * Judges a stored run's timelines by the contract of this tester. What was not run stays as it is.
 * @returns a result of the same variants in the same order, without expectations, which speak of verdicts that were
 * @throws StoredRunError for a timeline that is missing, broken or of another variant
 */
export async function rejudge(run: StoredRun): Promise<RunResult> {
  const { variants, selection } = run.result;
  const fresh: VariantResult[] = [];
  await pool([...variants.entries()], AT_A_TIME, new AbortController().signal, async ([i, old]) => {
    fresh[i] = old.timeline === undefined ? old : await again(run, old, selection.level);
  });
  return { ...run.result, variants: fresh };
}

async function again(
  run: StoredRun,
  old: VariantResult,
  level: RunResult['selection']['level'],
): Promise<VariantResult> {
  const timeline = await timelineOf(run, old);
  const { kind: _kind, reason: _reason, expectation: _expectation, ...rest } = old;
  if (timeline.context.variant !== old.variant)
    throw new StoredRunError(`${old.variant}: ${old.timeline} is of ${timeline.context.variant}`, TIMELINE_HINT);
  const assessed = understood(old, () => assess(timeline, level));
  return {
    ...rest,
    ...assessed,
    durationMs: timeline.end,
    excerpt: excerpt(timeline, assessed.requirements, assessed, level),
  };
}

/** What is a timeline by its form can still have events that no recorder of this tester writes. */
function understood<T>({ variant, timeline }: VariantResult, judge: () => T): T {
  try {
    return judge();
  } catch (cause) {
    const why = (cause as Error).message;
    throw new StoredRunError(`${variant}: ${timeline} cannot be judged: ${why}`, 'was it changed?', { cause });
  }
}
