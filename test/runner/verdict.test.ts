import { describe, expect, test, vi } from 'vitest';
import type { Judgement } from '../../src/contract/index.js';
import type { RequirementResult } from '../../src/runner/result.js';
import { breaks, decide, excerpt } from '../../src/runner/verdict.js';
import { type Event, type EventBody, Timeline } from '../../src/timeline/index.js';

vi.mock('../../src/contract/index.js', () => ({
  levels: ['must', 'should', 'info'],
  registry: [
    { id: 'M1', level: 'must' },
    { id: 'M2', level: 'must' },
    { id: 'M3', level: 'must' },
    { id: 'S1', level: 'should' },
    { id: 'I1', level: 'info' },
  ],
  // M1 breaks with the first kick of ring 7.
  judgeAll: (t: Timeline) => {
    const seen = t.first('driver.kick', ({ ring }) => ring === 7);
    return seen
      ? [{ requirement: 'M1', judgement: { outcome: 'break', kind: 'violation', seen: 'ring 7', events: [seen.seq] } }]
      : [];
  },
}));

type Kind = 'crash' | 'hang' | 'violation';

const broken = (requirement: string, kind: Kind, ...events: number[]): RequirementResult => ({
  requirement,
  judgement: { outcome: 'break', kind, seen: `${kind} seen`, events },
});
const held = (requirement: string): RequirementResult => ({
  requirement,
  judgement: { outcome: 'hold', seen: 'fine', events: [1] } satisfies Judgement,
});

const timeline = (...bodies: EventBody[]) =>
  new Timeline(bodies.map((body, seq) => ({ seq, t: seq, ...body }) as Event));

const kick: EventBody = { type: 'driver.kick', ring: 0 };
const kicks = (count: number) => Array.from({ length: count }, () => kick);
const trouble: EventBody = { type: 'tester.trouble', what: 'no ports left' };
const step = (outcome: 'done' | 'cut' | 'timeout' | 'failed', reason?: string): EventBody => ({
  type: 'step.end',
  index: 2,
  verb: 'await',
  outcome,
  ...(reason ? { reason } : {}),
});
const exit: EventBody = { type: 'qemu.exit', code: null, signal: 'SIGABRT' };

describe('the verdict', () => {
  test('is pass when nothing broke and the schedule ran', () => {
    expect(decide(timeline(kick, step('done')), [held('M1'), held('S1')])).toEqual({ verdict: 'pass' });
  });

  test('is pass when the peer left at the cut of a phase, as the schedule wants', () => {
    expect(decide(timeline(kick, step('cut', 'it left')), [held('M1')])).toEqual({ verdict: 'pass' });
  });

  test.each([
    ['must', 'S1', 'pass'],
    ['should', 'S1', 'fail'],
    ['should', 'I1', 'pass'],
    ['info', 'I1', 'fail'],
    ['info', 'M1', 'fail'],
  ] as const)('from level %s on: a break of %s is a %s', (level, requirement, verdict) => {
    expect(decide(timeline(kick), [broken(requirement, 'violation', 0)], level)).toMatchObject({ verdict });
  });

  test('is the break of a must, with its reason', () => {
    expect(decide(timeline(kick), [held('M1'), broken('M2', 'violation', 0)])).toEqual({
      verdict: 'fail',
      kind: 'violation',
      reason: 'M2: violation seen',
    });
  });

  test('is the worst: crash before hang before violation, then the order of the contract', () => {
    const results = [broken('M1', 'violation'), broken('M2', 'hang'), broken('M3', 'crash')];
    expect(decide(timeline(), results)).toMatchObject({ kind: 'crash', reason: 'M3: crash seen' });
    expect(decide(timeline(), results.slice(0, 2))).toMatchObject({ kind: 'hang' });
    expect(breaks(results).map(({ requirement }) => requirement)).toEqual(['M3', 'M2', 'M1']);
    expect(breaks([broken('M2', 'hang'), broken('M1', 'hang')]).map(({ requirement }) => requirement)).toEqual([
      'M2',
      'M1',
    ]);
  });

  test('is not failed by what only should be, or is for information', () => {
    expect(decide(timeline(), [broken('S1', 'crash'), broken('I1', 'violation')])).toEqual({ verdict: 'pass' });
    expect(breaks([broken('S1', 'crash')])).toEqual([]);
  });

  test.each(['hang', 'violation'] as const)('trouble of the tester outranks a %s', (kind) => {
    expect(decide(timeline(trouble), [broken('M1', kind)])).toEqual({
      verdict: 'inconclusive',
      reason: 'no ports left',
    });
  });

  test('what broke before the trouble began is no trouble of the tester', () => {
    const wrong: EventBody = { type: 'driver.kick', ring: 7 };
    const late = [broken('M1', 'violation', 1), broken('M2', 'hang', 2)];
    expect(decide(timeline(kick, wrong, trouble), late)).toEqual({
      verdict: 'fail',
      kind: 'violation',
      reason: 'M1: ring 7',
    });
    expect(decide(timeline(kick, trouble, wrong), late)).toMatchObject({ verdict: 'inconclusive' });
  });

  test('a crash outranks trouble', () => {
    expect(decide(timeline(trouble), [broken('M1', 'violation'), broken('M2', 'crash')])).toMatchObject({
      verdict: 'fail',
      kind: 'crash',
    });
  });

  test.each([
    ['timeout', 'ready: not within the deadline', 'step 3 (await): ready: not within the deadline'],
    ['failed', undefined, 'step 3 (await): failed'],
  ] as const)('a schedule that ended with %s is inconclusive', (outcome, reason, expected) => {
    expect(decide(timeline(step('done'), step(outcome, reason)), [held('M1')])).toEqual({
      verdict: 'inconclusive',
      reason: expected,
    });
  });

  test('unless a break explains it', () => {
    expect(decide(timeline(step('timeout')), [broken('M1', 'hang')])).toMatchObject({ verdict: 'fail', kind: 'hang' });
    expect(decide(timeline(step('timeout')), [broken('S1', 'hang')])).toMatchObject({ verdict: 'inconclusive' });
  });
});

describe('the excerpt', () => {
  const seqs = (t: Timeline, results: RequirementResult[]) =>
    excerpt(t, results, decide(t, results)).map(({ seq }) => seq);
  const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

  test('of a pass or a skip is empty', () => {
    const t = timeline(...kicks(10));
    expect(seqs(t, [])).toEqual([]);
    expect(excerpt(t, [broken('M1', 'violation', 3)], { verdict: 'skip' })).toEqual([]);
  });

  test('of a violation is what surrounds its events, in order, once', () => {
    const t = timeline(...kicks(100));
    expect(seqs(t, [broken('M1', 'violation', 50, 20, 22)])).toEqual([...range(16, 26), ...range(46, 54)]);
  });

  test('stays within the timeline', () => {
    const t = timeline(...kicks(4));
    expect(seqs(t, [broken('M1', 'violation', 0, 3)])).toEqual([0, 1, 2, 3]);
  });

  test('shows a step that did not end well, and trouble', () => {
    const t = timeline(...kicks(20), step('failed'), ...kicks(20), trouble, ...kicks(20));
    expect(seqs(t, [])).toEqual([...range(16, 24), ...range(37, 45)]);
  });

  test('does not show what a should broke', () => {
    const t = timeline(...kicks(50), step('timeout'));
    expect(seqs(t, [broken('S1', 'violation', 10)])).toEqual(range(46, 50));
  });

  test('of a crash ends with the exit and holds the last events before it', () => {
    const t = timeline(...kicks(100), exit, ...kicks(60));
    const shown = seqs(t, [broken('M1', 'crash', 100)]);
    expect(shown).toEqual(expect.arrayContaining(range(60, 104)));
    expect(Math.max(...shown)).toBe(104);
    expect(Math.min(...shown)).toBeLessThanOrEqual(60);
  });

  test('of a hang holds the last events', () => {
    const t = timeline(...kicks(200));
    expect(seqs(t, [broken('M1', 'hang', 100)])).toEqual([...range(96, 104), ...range(150, 199)]);
  });

  test('has an end', () => {
    const t = timeline(...kicks(1000));
    const shown = seqs(t, [broken('M1', 'violation', ...range(0, 999))]);
    expect(shown.length).toBeLessThanOrEqual(100);
    expect(shown.length).toBeGreaterThan(0);
  });
});
