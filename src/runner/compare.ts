import type { ContractLevel } from '../contract/index.js';
import type { Ms } from '../timeline/index.js';
import type { FailKind, RunResult, VariantResult, Verdict } from './result.js';
import { breaks } from './verdict.js';

/** What one variant came to: the same text for what counts as the same. */
export interface State {
  verdict: Verdict;
  kind?: FailKind;
  /** Requirements that broke, worst first. */
  broken: string[];
}

/** What became of a variant from one run to another. */
export type Change = 'fixed' | 'broken' | 'differs' | 'unclear' | 'added' | 'removed' | 'unsteady';

/** A variant that did not come to the same in both runs. */
export interface Difference {
  variant: string;
  /**
   * fixed: failed, and passes. broken: passed, and fails. differs: fails both times, of other requirements or in another way.
   * unclear: judged in one run only. added, removed: not in both runs. unsteady: one of the runs repeated it, and it did not
   * come to the same each time.
   */
  change: Change;
  /** What the first run said, one state for each that occurred; empty for `added`. */
  before: State[];
  after: State[];
  /** What breaks now and did not, and the other way round. */
  more: string[];
  fewer: string[];
}

/** A variant whose worst outage is another one. */
export interface Slower {
  variant: string;
  beforeMs: Ms;
  afterMs: Ms;
}

/** Two runs, side by side. */
export interface Comparison {
  differences: Difference[];
  /** Where traffic was away for at least SLOWER times as long, or as short; widest first. Noise of the machine counts, too. */
  slower: Slower[];
  faster: Slower[];
  unchanged: number;
}

/** What is another outage, and not the same with noise: so many times as long, and longer by more than a sample's distance. */
const SLOWER = 2;
const NOTABLE_MS: Ms = 100;

/**
 * What changed from one run to another. Results are matched by variant.
 * @param level requirements from here up fail a variant, in both: runs of different levels are compared by the same
 */
export function compareRuns(before: RunResult, after: RunResult, level: ContractLevel = 'must'): Comparison {
  const [old, fresh] = [byVariant(before.variants), byVariant(after.variants)];
  const names = [...new Set([...old.keys(), ...fresh.keys()])];
  const differences = names.flatMap((variant) => {
    const difference = differenceOf(variant, old.get(variant) ?? [], fresh.get(variant) ?? [], level);
    return difference ? [difference] : [];
  });
  const outages = names.flatMap((variant): Slower[] => {
    const [beforeMs, afterMs] = [worstOutage(old.get(variant)), worstOutage(fresh.get(variant))];
    return beforeMs === undefined || afterMs === undefined ? [] : [{ variant, beforeMs, afterMs }];
  });
  const notable = (a: Ms, b: Ms) => b >= SLOWER * a && b - a > NOTABLE_MS;
  return {
    differences,
    slower: outages
      .filter((one) => notable(one.beforeMs, one.afterMs))
      .sort((a, b) => b.afterMs / b.beforeMs - a.afterMs / a.beforeMs),
    faster: outages
      .filter((one) => notable(one.afterMs, one.beforeMs))
      .sort((a, b) => b.beforeMs / b.afterMs - a.beforeMs / a.afterMs),
    unchanged: names.length - differences.length,
  };
}

/** A run whose repetitions have names of their own, as in its report: so each is compared with itself. */
export function repetitionsApart(result: RunResult): RunResult {
  const seen = new Map<string, number>();
  const variants = result.variants.map((one) => {
    const nth = (seen.get(one.variant) ?? 0) + 1;
    seen.set(one.variant, nth);
    return nth === 1 ? one : { ...one, variant: `${one.variant}~${nth}` };
  });
  return { ...result, variants };
}

/** Repetitions of a variant have the same name. */
function byVariant(results: readonly VariantResult[]): Map<string, VariantResult[]> {
  const map = new Map<string, VariantResult[]>();
  for (const result of results) map.set(result.variant, [...(map.get(result.variant) ?? []), result]);
  return map;
}

function differenceOf(
  variant: string,
  old: readonly VariantResult[],
  fresh: readonly VariantResult[],
  level: ContractLevel,
): Difference | undefined {
  const [before, after] = [statesOf(old, level), statesOf(fresh, level)];
  const change = changeOf(before, after);
  if (change === undefined) return undefined;
  const broke = (states: readonly State[]) => [...new Set(states.flatMap(({ broken }) => broken))];
  const [was, is] = [broke(before), broke(after)];
  const without = (list: readonly string[], other: readonly string[]) => list.filter((id) => !other.includes(id));
  return { variant, change, before, after, more: without(is, was), fewer: without(was, is) };
}

function changeOf(before: readonly State[], after: readonly State[]): Change | undefined {
  if (before.length === 0) return 'added';
  if (after.length === 0) return 'removed';
  if (before.length > 1 || after.length > 1) return 'unsteady';
  const [was, is] = [before[0]!, after[0]!];
  if (key(was) === key(is)) return undefined;
  const judged = ({ verdict }: State) => verdict === 'pass' || verdict === 'fail';
  if (!judged(was) || !judged(is)) return 'unclear';
  if (was.verdict === is.verdict) return 'differs';
  return is.verdict === 'pass' ? 'fixed' : 'broken';
}

function statesOf(results: readonly VariantResult[], level: ContractLevel): State[] {
  return [...new Map(results.map((result) => stateOf(result, level)).map((state) => [key(state), state])).values()];
}

/** The verdict at a level: a result that another level failed may be a pass at this one. */
function stateOf({ verdict, requirements }: VariantResult, level: ContractLevel): State {
  if (verdict === 'skip' || verdict === 'inconclusive') return { verdict, broken: [] };
  const worst = breaks(requirements, level);
  if (worst.length === 0) return { verdict: 'pass', broken: [] };
  return { verdict: 'fail', kind: worst[0]!.kind, broken: worst.map(({ requirement }) => requirement) };
}

const key = ({ verdict, kind, broken }: State) => [verdict, kind ?? '', ...broken.toSorted()].join(' ');

function worstOutage(results: readonly VariantResult[] = []): Ms | undefined {
  const times = results.flatMap(({ outages }) => outages.flatMap(({ txMs, rxMs }) => [txMs, rxMs]));
  const known = times.filter((time) => time !== undefined);
  return known.length > 0 ? Math.max(...known) : undefined;
}
