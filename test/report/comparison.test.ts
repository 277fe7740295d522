import { describe, expect, it } from 'vitest';
import { renderComparison } from '../../src/report/index.js';
import { paint } from '../../src/report/paint.js';
import type { Comparison, Difference, State } from '../../src/runner/index.js';

const pass: State = { verdict: 'pass', broken: [] };
const crash: State = { verdict: 'fail', kind: 'crash', broken: ['R1', 'R4'] };
const fail: State = { verdict: 'fail', kind: 'violation', broken: ['R4'] };
const difference = (variant: string, change: Difference['change'], before: State[], after: State[]): Difference => ({
  variant,
  change,
  before,
  after,
  more: [],
  fewer: [],
});
const nothing: Comparison = { differences: [], slower: [], faster: [], unchanged: 1 };
const render = (over: Partial<Comparison>) => renderComparison({ ...nothing, ...over }, paint(false));

describe('renderComparison', () => {
  it('tells what broke before what was fixed, with what was seen, and counts in words', () => {
    const text = render({
      differences: [
        difference('a', 'fixed', [crash], [pass]),
        difference('b', 'broken', [pass], [fail]),
        difference('c', 'differs', [crash], [fail]),
        difference('d', 'differs', [fail], [crash]),
      ],
      unchanged: 3,
    });
    expect(text).toBe(`BROKEN: passed before, fails now (1)
  b
      before: pass
      now:    fail of R4

DIFFERS: fails both times, not in the same way (2)
  c
      before: crash of R1, R4
      now:    fail of R4
  d
      before: fail of R4
      now:    crash of R1, R4

FIXED: failed before, passes now (1)
  a
      before: crash of R1, R4
      now:    pass

1 broken, 2 differ, 1 fixed, 3 variants unchanged
`);
    expect(render({ differences: [difference('c', 'differs', [crash], [fail])] })).toContain(
      '\n1 differs, 1 variant unchanged\n',
    );
  });

  it('says nothing of before and now where a variant is in one run only', () => {
    expect(render({ differences: [difference('a', 'added', [], [pass])] })).toBe(
      'NEW: not in the first run (1)\n  a\n\n1 added, 1 variant unchanged\n',
    );
  });

  it('lists the widest of the outages that grew, and how many more there are', () => {
    const slower = Array.from({ length: 12 }, (_, i) => ({ variant: `v${i}`, beforeMs: 100, afterMs: 1000 }));
    expect(render({ slower })).toMatch(
      /^LONGER OUTAGES.*\(12\)\n {2}v0: 100 ms, now 1\.00 s\n(.*\n){9} {2}and 2 more\n/,
    );
  });
});
