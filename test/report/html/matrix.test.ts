import { expect, it } from 'vitest';
import { entriesOf } from '../../../src/report/html/chapters.js';
import { renderMatrix } from '../../../src/report/html/matrix.js';
import type { RequirementResult } from '../../../src/runner/index.js';
import { broken, contract, known, runOf, variant } from '../fixtures.js';

const held = (id: string): RequirementResult => ({
  requirement: id,
  judgement: { outcome: 'hold', seen: '', events: [] },
});
const idle = (id: string): RequirementResult => ({
  requirement: id,
  judgement: { outcome: 'not-applicable', seen: '', events: [] },
});
const levels = [contract[0]!, { ...contract[1]!, level: 'should' as const }];

function cells(results: Parameters<typeof entriesOf>[0], requirements = contract): Record<string, string[]> {
  const { source } = renderMatrix(runOf([]), entriesOf(results), requirements);
  const rows = [...source.matchAll(/<tr><th scope="row">(.*?)<\/th>(.*?)<\/tr>/g)];
  return Object.fromEntries(
    rows.map(([, name, row]) => [
      name!,
      [...row!.matchAll(/<td class="(.*?)" title="(.*?)">(.*?)<\/td>/g)].map(
        ([, look, title, text]) => `${look} ${text} | ${title}`,
      ),
    ]),
  );
}

it('counts what held, broke, broke as expected and had no occasion', () => {
  const fails = variant({
    variant: 'a.b[x=2]',
    verdict: 'fail',
    requirements: [broken('R1', 'crash', 'dead', []), idle('R8')],
  });
  const results = [variant({ variant: 'a.b[x=1]', requirements: [held('R1'), idle('R8')] }), fails, known];
  expect(cells(results)).toEqual({
    'a.b': [
      'bad <a href="#a.b%5Bx%3D2%5D">✕1</a> | R1 in a.b: 1 broke, 1 held',
      'none · | R8 in a.b: 2 not applicable',
    ],
    'server.absence.beyond-timer': [
      `known <a href="#${encodeURIComponent(known.variant)}">≈1</a> | R1 in server.absence.beyond-timer: 1 broke as expected`,
      `known <a href="#${encodeURIComponent(known.variant)}">≈1</a> | R8 in server.absence.beyond-timer: 1 broke as expected`,
    ],
  });
});

it('sorts requirements by level, and notes a break that fails no variant', () => {
  const results = [variant({ variant: 'a.b', requirements: [held('R1'), broken('R8', 'violation', 'x', [])] })];
  expect(cells(results, levels)['a.b']).toEqual([
    'good 1 | R1 in a.b: 1 held',
    'noted !1 | R8 in a.b: 1 broke, which fails no variant here',
  ]);
  expect(renderMatrix(runOf([]), entriesOf(results), levels).source).toMatch(
    /class="level">must<.*class="level">should</,
  );
});

it('shows requirements of another contract, and says so when nothing was judged', () => {
  const other = renderMatrix(runOf([]), entriesOf([variant({ requirements: [held('R99')] })]), contract).source;
  expect(other).toContain('of another contract');
  expect(other).toContain('>R99<');
  expect(renderMatrix(runOf([]), entriesOf([variant({ verdict: 'skip' })]), contract).source).toBe(
    '<p>No variant was judged.</p>',
  );
});
