import { describe, expect, test } from 'vitest';
import { type EventBody, Recorder } from '../../src/timeline/index.js';

const kick = (ring: number): EventBody => ({ type: 'driver.kick', ring });
const rings = (recorder: Recorder) =>
  recorder
    .timeline()
    .all('driver.kick')
    .map(({ ring }) => ring);

/** Lets the clock of recorders go on by itself: until `of` says more than before. */
function later(of: Recorder): number {
  const before = of.now();
  while (of.now() < before + 1);
  return of.now();
}

describe('like', () => {
  test('has the clock of the other, and events and numbers of its own', () => {
    const first = new Recorder();
    later(first);
    first.record(kick(1));
    const other = new Recorder({ like: first });
    const stranger = new Recorder();
    const before = first.now();
    const { seq, t } = other.record(kick(2));
    const after = first.now();
    expect(seq).toBe(0);
    expect(t).toBeGreaterThanOrEqual(before);
    expect(t).toBeLessThanOrEqual(after);
    expect(before).toBeGreaterThanOrEqual(1);
    expect(stranger.now()).toBeLessThan(first.now());
    expect([rings(first), rings(other)]).toEqual([[1], [2]]);
  });

  test('goes on from one to the next', () => {
    const first = new Recorder();
    later(first);
    const third = new Recorder({ like: new Recorder({ like: first }) });
    const [before, its, after] = [first.now(), third.now(), first.now()];
    expect(its).toBeGreaterThanOrEqual(before);
    expect(its).toBeLessThanOrEqual(after);
  });
});

describe('keep', () => {
  test('keeps at least so many of the last events, and never twice as many', () => {
    const recorder = new Recorder({ keep: 5 });
    for (let i = 0; i < 100; i++) {
      recorder.record(kick(i));
      const kept = rings(recorder);
      expect(kept.length).toBeGreaterThanOrEqual(Math.min(i + 1, 5));
      expect(kept.length).toBeLessThan(10);
      // The last ones, without a gap.
      expect(kept).toEqual(Array.from({ length: kept.length }, (_, k) => i - kept.length + 1 + k));
    }
  });

  test('numbers go on, listeners miss nothing, and the last event of a type is remembered', () => {
    const recorder = new Recorder({ keep: 2 });
    const heard: number[] = [];
    recorder.listen(({ seq }) => heard.push(seq));
    recorder.record({ type: 'qmp.ready' });
    for (let i = 0; i < 20; i++) recorder.record(kick(i));
    expect(heard).toEqual(Array.from({ length: 21 }, (_, i) => i));
    expect(recorder.events.at(-1)?.seq).toBe(20);
    expect(recorder.events.some(({ type }) => type === 'qmp.ready')).toBe(false);
    expect(recorder.latest('qmp.ready')?.seq).toBe(0);
    expect(recorder.latest('driver.kick')?.seq).toBe(20);
  });

  test('everything stays where nothing is said', () => {
    const recorder = new Recorder();
    for (let i = 0; i < 5000; i++) recorder.record(kick(i));
    expect(recorder.events).toHaveLength(5000);
  });
});
