import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { RunResult, VariantResult } from '../../src/runner/index.js';
import { broken, runOf, variant } from '../report/fixtures.js';
import type { Column } from './explanation.js';
import { matrixOf, writeMatrix } from './report.js';
import { renderMatrix } from './table.js';

const column = (suite: string, qemu: string, variants: VariantResult[], over: Partial<RunResult> = {}): Column => ({
  suite,
  name: `Debian ${suite}`,
  version: `1:${qemu}-1`,
  qemu: '/cache/qemu',
  reports: suite,
  result: runOf(variants, {
    qemu: { ...runOf([]).qemu, path: '/cache/qemu', version: qemu, versionText: '' },
    expectations: { file: '/x/cases/expected/mine.yaml' },
    ...over,
  }),
});
const fails = (id: string, requirement: string, expectation?: Partial<VariantResult['expectation']>): VariantResult => {
  const result = variant({
    variant: id,
    verdict: 'fail',
    kind: 'violation',
    requirements: [broken(requirement, 'violation', 'seen', [])],
  });
  const known = { state: 'met' as const, place: 'mine.yaml:3', broken: [requirement], held: [], more: [] };
  return expectation
    ? { ...result, expectation: { ...known, reason: 'It forgets.', reference: 'defect:x', ...expectation } }
    : result;
};
const holds = (id: string) =>
  variant({
    variant: id,
    requirements: [{ requirement: 'R21', judgement: { outcome: 'hold', seen: '', events: [] } }],
  });
const stale: VariantResult = {
  ...holds('a.one[x=3]'),
  expectation: {
    state: 'stale',
    place: 'mine.yaml:3',
    reason: 'r',
    reference: 'defect:x',
    broken: [],
    held: ['R1'],
    more: [],
  },
};
const skip = variant({ variant: 'a.two', verdict: 'skip', reason: 'too old' });
const unsure = variant({ variant: 'a.two', verdict: 'inconclusive', reason: 'no memory' });
const finding = { reason: 'It repeats.', reference: 'finding:repeats' };

const old = column('old', '5.2.0', [
  holds('a.one[x=1]'),
  fails('a.one[x=2]', 'R21', finding),
  fails('a.one[x=3]', 'R23', {}),
  skip,
]);
const recent = column('new', '10.0.0', [holds('a.one[x=1]'), holds('a.one[x=2]'), holds('a.one[x=3]'), holds('a.two')]);
const started = new Date('2026-01-02T03:04:05Z');

describe('a matrix', () => {
  it('folds the variants of a case, and explains each failure once, by number', () => {
    const { cases, requirements, explanations, exitCode } = matrixOf(started, [old, recent]);
    const [one, two] = cases;
    expect(one).toMatchObject({
      id: 'a.one',
      cells: [
        { pass: 1, expected: 2, explanations: [1, 2], unexplained: [] },
        { pass: 3, expected: 0 },
      ],
    });
    expect(two!.cells.map(({ pass, skip: skipped }) => [pass, skipped])).toEqual([
      [0, 1],
      [1, 0],
    ]);
    expect(explanations).toEqual([finding, { reason: 'It forgets.', reference: 'defect:x' }]);
    const row = (id: string) => requirements.find((requirement) => requirement.id === id)!;
    expect(row('R21').cells[0]).toEqual({ hold: 1, expected: 1, explanations: [1], unexplained: [] });
    expect(row('R23').cells[0]).toEqual({ hold: 0, expected: 1, explanations: [2], unexplained: [] });
    expect(exitCode).toBe(0);
  });

  it.each([
    ['a failure that nobody expected', fails('a.one[x=1]', 'R21'), 1],
    ['a failure beyond what is expected', fails('a.one[x=1]', 'R21', { state: 'exceeded', more: ['R21'] }), 1],
    ['a stale expectation', stale, 1],
    ['what could not be judged', unsure, 4],
  ])('does not pass with %s', (_, result, exitCode) => {
    expect(matrixOf(started, [recent, column('x', '11.0.0', [result])]).exitCode).toBe(exitCode);
  });

  it('names what needs attention, a limited number of it', () => {
    const many = Array.from({ length: 12 }, (_, i) => fails(`a.one[x=${i}]`, 'R21'));
    const text = renderMatrix(matrixOf(started, [column('x', '11.0.0', [...many, stale, unsure])]));
    expect(text).toContain('**12 fail, unexplained**, **1 stale**');
    expect(text).toContain('**12 break, unexplained**');
    expect(text).toContain('- unexplained: a.one[x=0]\n');
    expect(text).toContain('- unexplained: and 2 more, see matrix.json\n');
    expect(text).toContain('- stale: a.one[x=3]\n- inconclusive: a.two\n');
  });

  it('reads well as Markdown', () => {
    const bare = column('sid', '11.1.3', [holds('a.one[x=1]')]);
    const { expectations: _, ...result } = bare.result;
    const text = renderMatrix(matrixOf(started, [old, { ...bare, result }]));
    expect(text).toContain(`\
|                  | 5.2.0 (Debian old) | 11.1.3 (Debian sid)    |
| ---------------- | ------------------ | ---------------------- |
| package          | 1:5.2.0-1          | 1:11.1.3-1             |
| variants         | 3                  | 1                      |
| pass             | 1                  | 1                      |
| fail as expected | 2                  | 0                      |
| fail unexplained | 0                  | 0                      |
| skip             | 1                  | 0                      |
| known failures   | mine.yaml          | no file for this build |

| case  | 5.2.0 (Debian old)    | 11.1.3 (Debian sid) |
| ----- | --------------------- | ------------------- |
| a.one | 1 pass, 2 fail (1, 2) | 1 pass              |
| a.two | 1 skip                | -                   |
`);
    expect(text).toMatch(/\| R21 SET_OWNER comes once +\| 1 hold, 1 break \(1\) +\| 1 hold +\|/);
    expect(text).toContain('1. It repeats. ([finding](findings.md#repeats))\n2. It forgets. (defect:x)\n');
  });

  it('is written for people and programs', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'matrix-'));
    try {
      const matrix = matrixOf(started, [old, recent]);
      const table = await writeMatrix(dir, matrix);
      expect(readFileSync(join(dir, 'matrix.md'), 'utf8')).toBe(table);
      expect(JSON.parse(readFileSync(join(dir, 'matrix.json'), 'utf8'))).toEqual(JSON.parse(JSON.stringify(matrix)));
      expect(matrix.columns[0]).toMatchObject({
        qemu: '5.2.0',
        version: '1:5.2.0-1',
        reports: 'old',
        expectations: 'mine.yaml',
      });
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});
