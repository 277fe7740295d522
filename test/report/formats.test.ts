import { validate } from 'ctrf';
import { Parser } from 'tap-parser';
import { describe, expect, it } from 'vitest';
import { renderCtrf, renderTap } from '../../src/report/index.js';
import type { VariantResult } from '../../src/runner/index.js';
import { broken, contract, crashed, runOf, variant } from './fixtures.js';

const nasty = 'a # TODO \\ b\n---\nBail out! \u0000\u001b[31m ]]> <script>';
const expectation = (state: 'met' | 'stale') => ({
  state,
  place: 'mine.yaml:4',
  reason: 'known',
  reference: 'finding:x',
  broken: ['R1'],
  held: state === 'stale' ? ['R8'] : [],
  more: [],
});
const known = { ...crashed, variant: 'known', expectation: expectation('met') } as VariantResult;
const stale = variant({ variant: 'stale', expectation: expectation('stale') });
const unclear = variant({ variant: 'unclear', verdict: 'inconclusive', reason: nasty });
const skipped = variant({ variant: 'skipped', verdict: 'skip', reason: 'needs QEMU 9.2 # or later' });
const odd = variant({
  variant: 'odd',
  verdict: 'fail',
  kind: 'violation',
  reason: nasty,
  requirements: [broken('R8', 'violation', nasty, [1])],
});
const again = variant();
const all = runOf([variant(), again, crashed, known, stale, unclear, skipped, odd]);

describe('TAP', () => {
  const parsed = (text: string) =>
    new Promise<{
      results: Parser['results'];
      points: { ok: boolean; name: string; todo?: unknown; skip?: unknown; diag?: unknown }[];
      comments: string[];
    }>((resolve) => {
      const points: never[] = [];
      const comments: string[] = [];
      const parser = new Parser({ strict: true }, () => resolve({ results: parser.results, points, comments }));
      parser.on('assert', (point) => points.push(point as never));
      parser.on('extra', (line) => comments.push(line));
      parser.end(text);
    });

  it('says to a strict parser what came out', async () => {
    const { results, points, comments } = await parsed(renderTap(all));
    expect(comments).toEqual([]);
    expect(results).toMatchObject({ count: 8, pass: 3, fail: 5, todo: 1, skip: 1, bailout: false, ok: false });
    expect(results?.failures.filter(({ tapError }) => tapError)).toEqual([]);
    expect(points.map(({ ok, todo, skip }) => [ok, Boolean(todo), Boolean(skip)])).toEqual([
      [true, false, false],
      [true, false, false],
      [false, false, false],
      [false, true, false],
      [false, false, false],
      [false, false, false],
      [true, false, true],
      [false, false, false],
    ]);
    expect(points[1]!.name).toBe(`${again.variant} (run 2)`);
    expect(points[2]!.diag).toMatchObject({
      kind: 'crash',
      requirements: [expect.stringMatching(/^R1: QEMU was killed/), expect.stringMatching(/^R8: /)],
    });
    expect(points[7]!.diag).toMatchObject({ message: expect.stringContaining('a # TODO') });
  });

  it('bails out when the run was interrupted', async () => {
    const { results } = await parsed(renderTap({ ...all, interrupted: true }));
    expect(results).toMatchObject({ bailout: 'the run was interrupted' });
  });
});

describe('CTRF', () => {
  it('is valid by its schema, and counts as the others do', () => {
    const report = JSON.parse(renderCtrf(all, contract));
    expect(validate(report)).toMatchObject({ valid: true });
    expect(report.results.summary).toMatchObject({ tests: 8, passed: 2, failed: 4, skipped: 1, other: 1, pending: 0 });
    expect(report.results.tests.map(({ status }: { status: string }) => status)).toEqual([
      ...['passed', 'passed', 'failed', 'other', 'failed', 'failed', 'skipped', 'failed'],
    ]);
    expect(report.results.tests[2]).toMatchObject({
      rawStatus: 'failed: crash',
      suite: ['server', 'server.absence.beyond-timer'],
      message: 'R1: QEMU was killed by SIGABRT',
    });
  });

  it('would be refused without what the schema demands', () => {
    const { results, ...rest } = JSON.parse(renderCtrf(all, contract));
    expect(validate({ ...rest, results: { ...results, summary: {} } })).toMatchObject({ valid: false });
  });
});
