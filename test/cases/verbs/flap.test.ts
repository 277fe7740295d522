import { describe, expect, it } from 'vitest';
import { perform, stageOf, takes } from './stage.js';

/** A peer that is connected as soon as it arrives, and a stage that notes what is done. */
function stage() {
  const done: string[] = [];
  const passed: number[] = [];
  const peer = {
    session: {} as object | undefined,
    arrive: async (back: object, startup: boolean) => {
      done.push(`arrive ${JSON.stringify(back)} ${startup}`);
      peer.session = {};
    },
    leave: async (how: string, path: string) => {
      done.push(`leave ${how} ${path}`);
      peer.session = undefined;
    },
  };
  const made = stageOf({
    peer,
    until: async (what: string, test: () => boolean) => {
      await Promise.resolve();
      if (!test()) throw new Error(`${what} would not come`);
    },
    pass: async (ms: number) => void passed.push(ms),
    sample: async () => void done.push('sample'),
  });
  return { done, passed, run: (params: unknown) => perform('flap', made, params) };
}

describe('flap', () => {
  it('leaves first, then comes and goes, and is away in the end', async () => {
    const { done, passed, run } = stage();
    await run({ cycles: 2, live: 100 });
    const cycle = ['arrive {} true', 'leave close listening', 'sample'];
    expect(done).toEqual(['leave close listening', ...cycle, ...cycle]);
    expect(passed).toHaveLength(2);
  });

  it('leaves as it is told to, but for the first time', async () => {
    const { done, run } = stage();
    await run({ cycles: 1, live: 0, leave: 'half-message', path: 'remove' });
    expect(done.filter((what) => what.startsWith('leave'))).toEqual([
      'leave close remove',
      'leave half-message remove',
    ]);
  });

  it('lives and is away by the same sequence every time, spread over what is allowed', async () => {
    const one = stage();
    const other = stage();
    const params = { cycles: 30, live: 50, away: 20 };
    await Promise.all([one.run(params), other.run(params)]);
    expect(one.passed).toEqual(other.passed);
    const lives = one.passed.filter((_, i) => i % 2 === 0);
    const absences = one.passed.filter((_, i) => i % 2 === 1);
    for (const [all, most] of [
      [lives, 50],
      [absences, 20],
    ] as const) {
      expect(all).toHaveLength(30);
      expect(new Set(all).size).toBe(30);
      expect(Math.min(...all)).toBeGreaterThanOrEqual(0);
      expect(Math.min(...all)).toBeLessThan(most / 10);
      expect(Math.max(...all)).toBeLessThan(most);
      expect(Math.max(...all)).toBeGreaterThan((most * 9) / 10);
    }
  });

  it('looks at a long flap from time to time only', async () => {
    const { done, run } = stage();
    await run({ cycles: 400, live: 0 });
    expect(done.filter((what) => what === 'sample')).toHaveLength(40);
  });

  it('ends when a connection does not come', async () => {
    const made = stageOf({
      peer: { session: undefined, arrive: async () => {}, leave: async () => {} },
      until: async (what: string) => {
        throw new Error(what);
      },
    });
    await expect(perform('flap', made, { cycles: 1, live: 0 })).rejects.toThrow('a connection');
  });

  it('takes counts and durations only', () => {
    expect(takes('flap', { cycles: 10_000, live: 1000, away: 0 })).toBe(true);
    for (const wrong of [
      { cycles: 0, live: 0 },
      { cycles: 10_001, live: 0 },
      { cycles: 1 },
      { cycles: 1, live: 0, path: 'gone' },
    ])
      expect(takes('flap', wrong), JSON.stringify(wrong)).toBe(false);
  });
});
