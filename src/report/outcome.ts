import { isExpected, type VariantResult } from '../runner/index.js';
import { expectationText } from './expectation.js';

/**
 * What a result is to a consumer of test reports. failed: a verdict on QEMU, or an expectation that is stale; known: failed as
 * is expected of the build; error: the tester could not judge.
 */
export type Outcome = 'passed' | 'failed' | 'known' | 'error' | 'skipped';

/** The same for every format, so that they count alike. */
export function outcomeOf(result: VariantResult): Outcome {
  if (result.expectation?.state === 'stale') return 'failed';
  if (result.verdict === 'inconclusive') return 'error';
  if (result.verdict === 'fail') return isExpected(result) ? 'known' : 'failed';
  return result.verdict === 'skip' ? 'skipped' : 'passed';
}

/** What failed in one word: crash, hang, violation, stale, inconclusive. */
export function kindOf(result: VariantResult): string {
  if (result.expectation?.state === 'stale') return 'stale';
  return result.kind ?? result.verdict;
}

/** Why, in one line; empty for a pass. */
export function messageOf(result: VariantResult): string {
  const known = outcomeOf(result) === 'known';
  const text = known || result.expectation?.state === 'stale' ? expectationText(result) : result.reason;
  return `${known ? 'expected failure: ' : ''}${text ?? ''}`;
}

/** Results with names that differ: a variant that ran several times is told apart by which run it was. */
export function named(results: readonly VariantResult[]): { name: string; result: VariantResult }[] {
  const runs = new Map<string, number>();
  return results.map((result) => {
    const run = (runs.get(result.variant) ?? 0) + 1;
    runs.set(result.variant, run);
    return { name: run === 1 ? result.variant : `${result.variant} (run ${run})`, result };
  });
}
