import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Selection } from '../../src/cases/index.js';
import type { RunResult } from '../../src/runner/index.js';
import type { Ms } from '../../src/timeline/index.js';
import { type DefectResult, escaped, type RequirementWorth, scoreOf, stale, worthOf } from './score.js';
import { renderTable } from './table.js';

/** What came out of a mutation test: the content of its results.json. */
export interface MutationReport {
  schema: 1;
  /** ISO 8601. */
  startedAt: string;
  durationMs: Ms;
  /** The defective QEMU; absent when interrupted before it had run. */
  qemu?: RunResult['qemu'];
  /** The selection as given on the command line; empty for all defects. */
  selectors: string[];
  selection: Selection;
  /** Each run ended at its first failure: what else would have caught a defect is not known. */
  failFast: boolean;
  /** Variants side by side, over all runs of the suite. */
  jobs: number;
  /** Variants that fail without a defect and were left out of the judgement. */
  unfit: string[];
  /** Defects selected: more than `defects` has when interrupted. */
  wanted: number;
  defects: DefectResult[];
  score: { caught: number; total: number };
  /** Every requirement of the contract, in its order. */
  requirements: RequirementWorth[];
  interrupted: boolean;
  /** As designed: 0, 1, 130 (2 never gets this far). */
  exitCode: number;
}

/** What a mutation test measured, without what follows from it. */
export type Measured = Omit<MutationReport, 'schema' | 'score' | 'requirements' | 'exitCode'>;

/** Writes `results.json` and `table.md`. @returns the report, and the table as text. @throws the file system's error */
export async function writeReport(out: string, measured: Measured): Promise<{ report: MutationReport; table: string }> {
  const { defects, wanted, failFast, interrupted } = measured;
  const report: MutationReport = {
    schema: 1,
    ...measured,
    score: scoreOf(defects),
    requirements: worthOf(defects),
    exitCode: exitCode(defects, interrupted),
  };
  const table = renderTable({ results: defects, wanted, failFast });
  await writeFile(join(out, 'results.json'), `${JSON.stringify(report, null, 2)}\n`);
  await writeFile(join(out, 'table.md'), table);
  return { report, table };
}

/** 130 interrupted; 1 one was missed, or a listed one was caught; 0 every one was caught or is listed with a reason. */
export function exitCode(defects: readonly DefectResult[], interrupted: boolean): number {
  if (interrupted) return 130;
  return defects.some((result) => escaped(result) || stale(result)) ? 1 : 0;
}
