import { writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Summary } from '../../src/runner/index.js';
import { type CaseCell, caseRows, type RequirementCell, type Row, requirementRows } from './cells.js';
import { type Column, type Explanation, Explanations } from './explanation.js';
import { renderMatrix } from './table.js';

/** What came of a matrix: the content of its matrix.json. */
export interface Matrix {
  schema: 1;
  /** ISO 8601. */
  startedAt: string;
  /** Oldest release first. */
  columns: {
    suite: string;
    name: string;
    /** Version of the package. */
    version: string;
    /** `major.minor.micro`. */
    qemu: string;
    /** Name of the expectation file; absent when there is none for this build. */
    expectations?: string;
    summary: Summary;
    /** Folder of its reports, relative to this file. */
    reports: string;
  }[];
  cases: Row<CaseCell>[];
  requirements: Row<RequirementCell>[];
  /** Numbered from 1 in the cells. */
  explanations: readonly Explanation[];
  /** 0 every failure is explained, 1 one is not or an expectation is stale, 4 something could not be judged. */
  exitCode: number;
}

export function matrixOf(startedAt: Date, columns: readonly Column[]): Matrix {
  const explanations = new Explanations();
  return {
    schema: 1,
    startedAt: startedAt.toISOString(),
    columns: columns.map(({ suite, name, version, reports, result }) => ({
      suite,
      name,
      version,
      qemu: result.qemu.version,
      ...(result.expectations && { expectations: basename(result.expectations.file) }),
      summary: result.summary,
      reports,
    })),
    cases: caseRows(columns, explanations),
    requirements: requirementRows(columns, explanations),
    explanations: explanations.all,
    exitCode: exitCode(columns.map(({ result }) => result.summary)),
  };
}

function exitCode(summaries: readonly Summary[]): number {
  if (summaries.some(({ fail, expected, stale }) => fail > expected || stale > 0)) return 1;
  return summaries.some(({ inconclusive }) => inconclusive > 0) ? 4 : 0;
}

/** Writes `matrix.json` and `matrix.md`. @returns the table. @throws the file system's error */
export async function writeMatrix(out: string, matrix: Matrix): Promise<string> {
  const table = renderMatrix(matrix);
  await writeFile(join(out, 'matrix.json'), `${JSON.stringify(matrix, null, 2)}\n`);
  await writeFile(join(out, 'matrix.md'), table);
  return table;
}
