import { describe, expect, test } from 'vitest';
import { type Event, type EventBody, Recorder, type RunBegin, Timeline } from '../../src/timeline/index.js';

/** A timeline of [time, event] pairs. */
const timeline = (...entries: [t: number, body: EventBody][]) =>
  new Timeline(entries.map(([t, body], seq) => ({ seq, t, ...body }) as Event));

const open = (session: number): EventBody => ({ type: 'session.open', session, by: 'dial', pid: 1 });
const close = (session: number): EventBody => ({ type: 'session.close', session, by: 'peer', how: 'close' });
const kick = (ring: number): EventBody => ({ type: 'driver.kick', ring });
const pace = (lag: number, delay: number): EventBody => ({ type: 'pace', lag, delay });

describe('queries', () => {
  const t = timeline([0, kick(0)], [1, open(1)], [2, kick(1)], [3, kick(0)]);

  test('all of a type, in order', () => {
    expect(t.all('driver.kick').map(({ seq }) => seq)).toEqual([0, 2, 3]);
    expect(t.all('run.end')).toEqual([]);
  });

  test('the first and the last that satisfy a test, within bounds', () => {
    expect(t.first('driver.kick')?.seq).toBe(0);
    expect(t.first('driver.kick', ({ ring }) => ring === 1)?.seq).toBe(2);
    expect(t.first('driver.kick', () => true, 0)?.seq).toBe(2);
    expect(t.first('driver.kick', () => true, 3)).toBeUndefined();
    expect(t.last('driver.kick')?.seq).toBe(3);
    expect(t.last('driver.kick', ({ ring }) => ring === 1)?.seq).toBe(2);
    expect(t.last('driver.kick', () => true, 3)?.seq).toBe(2);
    expect(t.last('driver.kick', () => true, 0)).toBeUndefined();
  });

  test('the end', () => {
    expect(t.end).toBe(3);
    expect(timeline().end).toBe(0);
  });

  test('the context is the first event, or there is none', () => {
    const begin = { type: 'run.begin', variant: 'v' } as RunBegin;
    expect(timeline([0, begin]).context.variant).toBe('v');
    expect(() => t.context).toThrow('run.begin');
    expect(() => timeline().context).toThrow('run.begin');
  });

  test('sessions pair each opening with its own end', () => {
    const { sessions } = timeline([0, open(1)], [1, open(2)], [2, close(2)], [3, close(1)], [4, open(3)]);
    expect(sessions.map(({ session, open: { seq }, close }) => [session, seq, close?.seq])).toEqual([
      [1, 0, 3],
      [2, 1, 2],
      [3, 4, undefined],
    ]);
    expect(sessions[2]).not.toHaveProperty('close');
  });
});

describe('starved', () => {
  const t = timeline([0, kick(0)], [100, pace(10, 5)], [200, pace(30, 5)], [300, pace(30, 25)], [400, kick(0)]);

  test.each([
    ['within one sample', 110, 190, 20],
    ['from before the first sample', 0, 50, 15],
    ['across samples', 150, 250, 40],
    ['exactly at samples', 100, 200, 20],
    ['beyond the last sample', 310, 400, 0],
    ['the whole', 0, 400, 55],
  ])('%s', (_what, from, to, ms) => {
    expect(t.starved(from, to)).toBe(ms);
  });

  test('is never more than the time that passed: the tester and QEMU may wait at once', () => {
    const both = timeline([0, kick(0)], [100, pace(0, 0)], [200, pace(90, 90)], [300, pace(90, 100)]);
    expect(both.starved(100, 300)).toBe(110);
  });

  test('is nothing without samples', () => {
    expect(timeline([0, kick(0)]).starved(0, 100)).toBe(0);
  });

  test('has a part in which the tester was late', () => {
    expect(t.unwatched(0, 400)).toBe(30);
    expect(t.unwatched(150, 250)).toBe(20);
    expect(t.unwatched(310, 400)).toBe(0);
  });
});

test('ran is what the samples within show', () => {
  const ran = (ms: number) => ({ ...pace(1, 1), ran: ms });
  const t = timeline([0, ran(10)], [100, ran(30)], [200, ran(90)], [300, ran(100)]);
  expect(t.ran(50, 250)).toBe(60);
  expect(t.ran(0, 300)).toBe(90);
  expect(t.ran(110, 190)).toBe(0);
  expect(timeline([0, pace(1, 1)], [100, pace(2, 2)]).ran(0, 100)).toBe(0);
});

describe('the recorder', () => {
  test('counts without gaps on a clock that never falls, and tells its listeners', () => {
    const recorder = new Recorder();
    const heard: Event[] = [];
    const unlisten = recorder.listen((event) => heard.push(event));
    for (let ring = 0; ring < 100; ring++) recorder.record(kick(ring));
    unlisten();
    recorder.record({ type: 'run.end' });
    expect(recorder.events.map(({ seq }) => seq)).toEqual(Array.from({ length: 101 }, (_, i) => i));
    recorder.events.slice(1).forEach(({ t }, i) => {
      expect(t).toBeGreaterThanOrEqual(recorder.events[i]!.t);
    });
    expect(heard).toEqual(recorder.events.slice(0, 100));
    expect(recorder.latest('driver.kick')).toMatchObject({ ring: 99 });
    expect(recorder.latest('session.open')).toBeUndefined();
  });

  test('gives timelines that do not grow', () => {
    const recorder = new Recorder();
    recorder.record(kick(0));
    const taken = recorder.timeline();
    recorder.record(kick(1));
    expect(taken.events).toHaveLength(1);
    expect(recorder.timeline().events).toHaveLength(2);
  });
});
