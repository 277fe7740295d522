import {
  type ContractLevel,
  judgeAll,
  levels,
  outages,
  type Requirement,
  registry,
  stalls,
} from '../contract/index.js';
import { type Event, Timeline } from '../timeline/index.js';
import type { FailKind, RequirementResult, Verdict } from './result.js';

/** The verdict on one variant, with the reason in one line unless it passed. */
export interface Outcome {
  verdict: Verdict;
  kind?: FailKind;
  reason?: string;
}

const SEVERITY: readonly FailKind[] = ['crash', 'hang', 'violation'];

/** A requirement that broke, and how. */
export type Broken = RequirementResult & { judgement: { outcome: 'break' }; kind: FailKind };

/** The breaks of requirements from a level up, worst first, in the contract's order within a kind. */
export function breaks(results: readonly RequirementResult[], from: ContractLevel = 'must'): Broken[] {
  const level = new Map(registry.map((requirement: Requirement) => [requirement.id, requirement.level]));
  const counts = levels.slice(0, levels.indexOf(from) + 1);
  return results
    .flatMap(({ requirement, judgement }) =>
      judgement.outcome === 'break' && counts.includes(level.get(requirement)!)
        ? [{ requirement, judgement, kind: judgement.kind }]
        : [],
    )
    .sort((a, b) => SEVERITY.indexOf(a.kind) - SEVERITY.indexOf(b.kind));
}

/**
 * A crash is a crash whatever else went wrong. Trouble of the tester's own makes the variant inconclusive, unless QEMU had
 * broken the contract before it began: that was not its doing, and may well be its cause. So does a schedule that did not
 * run to its end, unless a broken requirement explains it.
 */
export function decide(timeline: Timeline, results: readonly RequirementResult[], level?: ContractLevel): Outcome {
  const [worst] = breaks(results, level);
  if (worst?.kind === 'crash') return failed(worst);
  const trouble = timeline.first('tester.trouble');
  if (trouble) {
    const before = new Timeline(timeline.events.slice(0, trouble.seq));
    const [earlier] = breaks(judgeAll(before), level);
    return earlier ? failed(earlier) : { verdict: 'inconclusive', reason: trouble.what };
  }
  if (worst) return failed(worst);
  const stopped = timeline.first('step.end', ({ outcome }) => outcome !== 'done' && outcome !== 'cut');
  if (stopped) {
    const reason = `step ${stopped.index + 1} (${stopped.verb}): ${stopped.reason ?? stopped.outcome}`;
    return { verdict: 'inconclusive', reason };
  }
  return { verdict: 'pass' };
}

/** What a timeline comes to by the contract of today: the fields of a VariantResult that it alone decides. */
export function assess(timeline: Timeline, level?: ContractLevel) {
  const requirements = judgeAll(timeline);
  return {
    ...decide(timeline, requirements, level),
    requirements,
    outages: outages(timeline),
    stalls: stalls(timeline),
  };
}

const failed = ({ kind, requirement, judgement }: RequirementResult & { kind: FailKind }): Outcome => ({
  verdict: 'fail',
  kind,
  reason: `${requirement}: ${judgement.seen}`,
});

/** How many events reports show at most of the breaks, each with what surrounds it, and of the end of a QEMU that died or hung. */
const BREAK_EVENTS = 50;
const LAST_EVENTS = 50;
const AROUND = 4;

/** The events that explain a verdict, in order. */
export function excerpt(
  timeline: Timeline,
  results: readonly RequirementResult[],
  { verdict, kind }: Outcome,
  level?: ContractLevel,
): Event[] {
  if (verdict === 'pass' || verdict === 'skip') return [];
  // How slow the machine was is judged, and of no use to a reader.
  const events = timeline.events.filter(({ type }) => type !== 'pace');
  const wanted = new Set<number>();
  const around = (seq: number) => {
    const at = events.findLastIndex((event) => event.seq <= seq);
    for (const event of events.slice(Math.max(0, at - AROUND), at + AROUND + 1))
      if (wanted.size < BREAK_EVENTS) wanted.add(event.seq);
  };
  for (const { judgement } of breaks(results, level)) for (const seq of judgement.events) around(seq);
  for (const step of timeline.all('step.end')) if (step.outcome !== 'done') around(step.seq);
  for (const trouble of timeline.all('tester.trouble')) around(trouble.seq);
  if (kind === 'crash' || kind === 'hang' || wanted.size === 0) {
    const exit = timeline.first('qemu.exit', (event) => event.asked === undefined);
    const end = exit ? events.indexOf(exit) + 1 + AROUND : events.length;
    for (const event of events.slice(Math.max(0, end - LAST_EVENTS), end)) wanted.add(event.seq);
  }
  return events.filter((event) => wanted.has(event.seq));
}
