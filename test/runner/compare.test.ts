import { describe, expect, it } from 'vitest';
import { type Comparison, compareRuns } from '../../src/runner/index.js';
import type { RunResult, VariantResult } from '../../src/runner/result.js';
import { broken, variant } from '../report/fixtures.js';

const run = (...variants: VariantResult[]) => ({ variants }) as RunResult;
const pass = (id: string, over: Partial<VariantResult> = {}) => variant({ variant: id, ...over });
const fail = (id: string, ...requirements: string[]) =>
  variant({
    variant: id,
    verdict: 'fail',
    kind: 'violation',
    requirements: requirements.map((one) => broken(one, 'violation', 'seen', [1])),
  });
const changes = ({ differences }: Comparison) => differences.map(({ variant: id, change }) => [id, change]);

describe('compareRuns', () => {
  it('tells what is better, worse, different, new, gone, and not judged', () => {
    const before = run(
      pass('same'),
      pass('worse'),
      fail('better', 'R1'),
      fail('other', 'R1', 'R2'),
      pass('lost'),
      pass('gone'),
    );
    const after = run(
      pass('same'),
      fail('worse', 'R1'),
      pass('better'),
      fail('other', 'R3', 'R2'),
      variant({ variant: 'lost', verdict: 'inconclusive' }),
      pass('new'),
    );
    const comparison = compareRuns(before, after);
    expect(changes(comparison)).toEqual([
      ['worse', 'broken'],
      ['better', 'fixed'],
      ['other', 'differs'],
      ['lost', 'unclear'],
      ['gone', 'removed'],
      ['new', 'added'],
    ]);
    expect(comparison.unchanged).toBe(1);
    expect(comparison.differences[2]).toMatchObject({ more: ['R3'], fewer: ['R1'] });
  });

  it('does not mind in which order requirements broke, but how QEMU failed', () => {
    const crash = variant({
      variant: 'a',
      verdict: 'fail',
      kind: 'crash',
      requirements: [broken('R1', 'crash', '', [1])],
    });
    expect(changes(compareRuns(run(fail('a', 'R1', 'R2')), run(fail('a', 'R2', 'R1'))))).toEqual([]);
    expect(changes(compareRuns(run(fail('a', 'R1')), run(crash)))).toEqual([['a', 'differs']]);
  });

  it('calls a variant unsteady of which repetitions disagree, on either side', () => {
    const mixed = run(pass('a'), fail('a', 'R1'), pass('a'));
    expect(changes(compareRuns(mixed, run(pass('a'))))).toEqual([['a', 'unsteady']]);
    const [difference] = compareRuns(run(pass('a')), mixed).differences;
    expect(difference).toMatchObject({
      change: 'unsteady',
      more: ['R1'],
      after: [{ verdict: 'pass' }, { verdict: 'fail' }],
    });
  });

  it('compares by one level what was run with two', () => {
    // R10 is a should: a run of that level fails, one of must passes.
    const strict = run(fail('a', 'R10'));
    expect(changes(compareRuns(run(pass('a')), strict))).toEqual([]);
    expect(changes(compareRuns(run(pass('a')), strict, 'should'))).toEqual([['a', 'broken']]);
  });

  it('tells outages that are another size, not noise', () => {
    const out = (txMs: number) => ({ outages: [{ session: 1, awayMs: 0, txMs, completedByQemu: 0 }] });
    const comparison = compareRuns(
      run(pass('slow', out(100)), pass('noise', out(100)), pass('tiny', out(1)), pass('fast', out(900))),
      run(pass('slow', out(300)), pass('noise', out(190)), pass('tiny', out(50)), pass('fast', out(100))),
    );
    expect(comparison.slower).toEqual([{ variant: 'slow', beforeMs: 100, afterMs: 300 }]);
    expect(comparison.faster).toEqual([{ variant: 'fast', beforeMs: 900, afterMs: 100 }]);
    expect(comparison.differences).toEqual([]);
  });
});
