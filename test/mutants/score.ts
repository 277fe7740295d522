import { registry } from '../../src/contract/index.js';
import type { FailKind } from '../../src/runner/index.js';
import type { Ms } from '../../src/timeline/index.js';
import type { Catch, Findings } from './catches.js';

/** What the score needs to know of a defect. */
export interface Defect {
  id: string;
  /** What is wrong, in one sentence. */
  title: string;
  /** Why the suite is known not to see it. */
  undetected?: string | undefined;
}

/** What became of one defect. */
export interface DefectResult extends Defect {
  /** `caught` when at least one requirement was broken in a variant that holds without a defect. */
  verdict: 'caught' | 'missed';
  /** For `caught`: the worst that any variant saw; crash outranks hang outranks violation. */
  kind?: FailKind;
  /** For `caught`: the catch that was detected first, of all variants. */
  first?: Catch;
  /** Variants that caught it, by requirement, in the contract's order. */
  caughtBy: Record<string, string[]>;
  /** Variants that could not be judged. */
  inconclusive: string[];
  /** 2 when a run beside others missed it, and this is what a run of its own found. */
  runs: 1 | 2;
  /** How long the run of the suite took. */
  durationMs: Ms;
}

/** What a requirement is worth: the defects that it caught, and those that nothing else caught. */
export interface RequirementWorth {
  requirement: string;
  caught: string[];
  /** Defects that no other requirement caught, in any variant. */
  alone: string[];
}

const severity: readonly FailKind[] = ['crash', 'hang', 'violation'];

/** The verdict on the suite, from what one run of it found. */
export function resultOf(
  defect: Defect,
  { catches, inconclusive }: Findings,
  durationMs: Ms,
  runs: 1 | 2,
): DefectResult {
  const { id, title, undetected } = defect;
  const kind = severity.find((one) => catches.some((each) => each.kind === one));
  const caughtBy = registry.flatMap(({ id: requirement }) => {
    const variants = catches.filter((one) => one.requirement === requirement).map(({ variant }) => variant);
    return variants.length > 0 ? [[requirement, variants] as const] : [];
  });
  return {
    id,
    title,
    ...(undetected !== undefined && { undetected }),
    verdict: kind ? 'caught' : 'missed',
    ...(kind && { kind, first: catches[0]! }),
    caughtBy: Object.fromEntries(caughtBy),
    inconclusive,
    runs,
    durationMs,
  };
}

/** Each requirement of the contract with what it caught, in the contract's order. */
export function worthOf(results: readonly DefectResult[]): RequirementWorth[] {
  return registry.map(({ id: requirement }) => {
    const caught = results.filter(({ caughtBy }) => caughtBy[requirement]);
    const alone = caught.filter(({ caughtBy }) => Object.keys(caughtBy).length === 1);
    return { requirement, caught: caught.map(({ id }) => id), alone: alone.map(({ id }) => id) };
  });
}

/** The variants that caught a defect, whatever requirement they broke. */
export function catchingVariants({ caughtBy }: DefectResult): Set<string> {
  return new Set(Object.values(caughtBy).flat());
}

/** Defects that got past the suite and are not listed as such. */
export const escaped = ({ verdict, undetected }: DefectResult) => verdict === 'missed' && undetected === undefined;

/** Defects that are listed as not seen, and were caught: the list is out of date. */
export const stale = ({ verdict, undetected }: DefectResult) => verdict === 'caught' && undetected !== undefined;

/** How many defects were caught. Listed ones count as missed: the score says what the suite sees. */
export function scoreOf(results: readonly DefectResult[]): { caught: number; total: number } {
  return { caught: results.filter(({ verdict }) => verdict === 'caught').length, total: results.length };
}
