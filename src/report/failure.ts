import type { Requirement } from '../contract/index.js';
import { type FailKind, isExpected, type RequirementResult, type VariantResult } from '../runner/index.js';
import { groupBy } from './group.js';

/** A requirement that a variant broke. */
export type Break = RequirementResult & { judgement: { outcome: 'break' } };

const rank: readonly FailKind[] = ['crash', 'hang', 'violation'];

/** What a variant broke, the worst first: crash, hang, violation; among equals in the order of the contract. */
export function breaksOf(result: VariantResult): Break[] {
  return result.requirements
    .filter((one): one is Break => one.judgement.outcome === 'break')
    .sort((a, b) => rank.indexOf(a.judgement.kind) - rank.indexOf(b.judgement.kind));
}

/** Reports show so many of the ways in which one requirement broke, beside the worst; results.json has more. */
const MAX_ALSO = 5;

/** What more broke a requirement, beside the worst that was seen. */
export const alsoSeen = ({ also = [] }: Break['judgement']): string[] => also.slice(0, MAX_ALSO);

/** Failures of one kind that broke the same requirement first, so that one cause is told once. */
export interface FailureGroup {
  kind: FailKind;
  requirement: string | undefined;
  results: VariantResult[];
}

/** The unexpected failures by kind and by the worst requirement they broke; crashes first. */
export function groupFailures(results: readonly VariantResult[]): FailureGroup[] {
  const failed = results.filter((result) => result.verdict === 'fail' && !isExpected(result));
  const named = failed.map((result) => ({
    result,
    kind: result.kind ?? 'violation',
    requirement: breaksOf(result)[0]?.requirement,
  }));
  return [...groupBy(named, ({ kind, requirement }) => `${kind} ${requirement}`).values()]
    .map((list) => ({
      kind: list[0]!.kind,
      requirement: list[0]!.requirement,
      results: list.map(({ result }) => result),
    }))
    .sort((a, b) => rank.indexOf(a.kind) - rank.indexOf(b.kind));
}

/** The requirement of an id. Results of another version of the contract may name one that is not known here. */
export function requirementOf(contract: readonly Requirement[], id: string): Requirement | undefined {
  return contract.find((requirement) => requirement.id === id);
}
