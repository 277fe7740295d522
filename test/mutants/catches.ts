import { join } from 'node:path';
import { type Requirement, registry } from '../../src/contract/index.js';
import type { FailKind, RunResult, VariantResult } from '../../src/runner/index.js';
import { type Ms, readTimeline, Timeline } from '../../src/timeline/index.js';

/** A requirement that one variant broke because of a defect. */
export interface Catch {
  variant: string;
  requirement: string;
  kind: FailKind;
  /** What the requirement's judge saw. */
  seen: string;
  /** From the variant's start until the requirement, judged on what was recorded so far, is broken. */
  detectedMs: Ms;
}

/** What a run of the suite made of one defect. */
export interface Findings {
  /** The one that was detected first, before all others. */
  catches: Catch[];
  /** Variants that could not be judged. They catch nothing. */
  inconclusive: string[];
}

/**
 * What a run caught: every break of a `must` or `should` requirement in a variant with the verdict `fail`. Of an `unfit`
 * variant only what breaks beyond what is expected of it.
 * @param unfit variants that fail without a defect
 * @param dir folder of the run, with its timelines
 * @param contract by which the run was judged
 * @throws TimelineError, the file system's error
 */
export async function findings(
  run: Pick<RunResult, 'variants'>,
  unfit: ReadonlySet<string>,
  dir: string,
  contract: readonly Requirement[] = registry,
): Promise<Findings> {
  const fit = run.variants.filter(({ variant }) => !unfit.has(variant));
  const failed = run.variants.filter(({ verdict }) => verdict === 'fail');
  const catches: Catch[] = [];
  for (const result of failed) {
    const beyond = unfit.has(result.variant) ? (result.expectation?.more ?? []) : undefined;
    if (beyond?.length !== 0) catches.push(...(await catchesOf(result, beyond, dir, contract)));
  }
  const rank = (one: Catch) => contract.findIndex(({ id }) => id === one.requirement);
  return {
    catches: catches.sort((a, b) => a.detectedMs - b.detectedMs || rank(a) - rank(b)),
    inconclusive: fit.filter(({ verdict }) => verdict === 'inconclusive').map(({ variant }) => variant),
  };
}

async function catchesOf(
  { variant, requirements, timeline: file }: VariantResult,
  only: readonly string[] | undefined,
  dir: string,
  contract: readonly Requirement[],
): Promise<Catch[]> {
  if (file === undefined) return [];
  const timeline = await readTimeline(join(dir, file));
  return requirements.flatMap(({ requirement: id, judgement }) => {
    const requirement = contract.find((one) => one.id === id && one.level !== 'info');
    if (judgement.outcome !== 'break' || !requirement || only?.includes(id) === false) return [];
    const { kind, seen } = judgement;
    const detectedMs = detection(requirement, kind, timeline);
    return detectedMs === undefined ? [] : [{ variant, requirement: id, kind, seen, detectedMs }];
  });
}

/**
 * When a break could be told. What breaks stays broken as more is recorded, but for a look or two at the machine's pace right
 * at its bound: the moment is found by bisection.
 * @returns undefined when it could be told only after the tester's own trouble began: it may be the tester's doing, unless
 * QEMU died
 */
function detection({ judge }: Requirement, kind: FailKind, { events, end }: Timeline): Ms | undefined {
  const isBroken = (length: number) => judge(new Timeline(events.slice(0, length))).outcome === 'break';
  const trouble = kind === 'crash' ? -1 : events.findIndex(({ type }) => type === 'tester.trouble');
  let [holds, breaks] = [0, trouble < 0 ? events.length : trouble];
  if (trouble >= 0 && !isBroken(breaks)) return undefined;
  while (breaks - holds > 1) {
    const middle = (holds + breaks) >> 1;
    if (isBroken(middle)) breaks = middle;
    else holds = middle;
  }
  return (events[breaks - 1]?.t ?? end) - (events[0]?.t ?? 0);
}
