import { registry } from '../../src/contract/index.js';
import { breaks, isExpected, type RunResult, type VariantResult } from '../../src/runner/index.js';
import { type Column, type Explanations, explanationOf } from './explanation.js';

/** What became of a case's variants on one QEMU. */
export interface CaseCell {
  pass: number;
  /** Failures that are known, and by which explanations. */
  expected: number;
  explanations: number[];
  /** Ids of variants that failed otherwise, that are stale, that the tester could not judge. */
  unexplained: string[];
  stale: string[];
  inconclusive: string[];
  skip: number;
}

/** In how many variants a requirement held or broke on one QEMU; in the others it did not apply. */
export interface RequirementCell {
  hold: number;
  /** Breaks in failures that are known, and by which explanations. */
  expected: number;
  explanations: number[];
  /** Ids of variants that broke it otherwise. */
  unexplained: string[];
}

export interface Row<Cell> {
  id: string;
  title: string;
  /** One for each column. */
  cells: Cell[];
}

const numbers = (results: readonly VariantResult[], explanations: Explanations): number[] => [
  ...new Set(results.map(explanationOf).flatMap((one) => (one ? [explanations.numberOf(one)] : []))),
];
const ids = (results: readonly VariantResult[]) => results.map(({ variant }) => variant);

function caseCell(results: readonly VariantResult[], explanations: Explanations): CaseCell {
  const of = (verdict: VariantResult['verdict']) => results.filter((result) => result.verdict === verdict);
  const expected = results.filter(isExpected);
  return {
    pass: of('pass').length,
    expected: expected.length,
    explanations: numbers(expected, explanations),
    unexplained: ids(of('fail').filter((result) => !isExpected(result))),
    stale: ids(results.filter(({ expectation }) => expectation?.state === 'stale')),
    inconclusive: ids(of('inconclusive')),
    skip: of('skip').length,
  };
}

function requirementCell(id: string, { variants }: RunResult, explanations: Explanations): RequirementCell {
  const outcome = ({ requirements }: VariantResult) =>
    requirements.find(({ requirement }) => requirement === id)?.judgement.outcome;
  const broken = variants.filter(({ requirements }) =>
    breaks(requirements).some(({ requirement }) => requirement === id),
  );
  const expected = broken.filter(isExpected);
  return {
    hold: variants.filter((result) => outcome(result) === 'hold').length,
    expected: expected.length,
    explanations: numbers(expected, explanations),
    unexplained: ids(broken.filter((result) => !isExpected(result))),
  };
}

/** Cases in the order of the runs, their variants folded. */
export function caseRows(columns: readonly Column[], explanations: Explanations): Row<CaseCell>[] {
  const titles = new Map(columns.flatMap(({ result }) => result.variants.map((one) => [one.case, one.title] as const)));
  return [...titles].map(([id, title]) => ({
    id,
    title,
    cells: columns.map(({ result }) =>
      caseCell(
        result.variants.filter((variant) => variant.case === id),
        explanations,
      ),
    ),
  }));
}

/** The requirements that a failure can be of, in the contract's order. */
export function requirementRows(columns: readonly Column[], explanations: Explanations): Row<RequirementCell>[] {
  return registry
    .filter(({ level }) => level === 'must')
    .map(({ id, title }) => ({
      id,
      title,
      cells: columns.map(({ result }) => requirementCell(id, result, explanations)),
    }));
}
