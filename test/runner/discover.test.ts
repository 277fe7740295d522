import { describe, expect, test } from 'vitest';
import { cutPoints } from '../../src/runner/discover.js';
import { type Event, type EventBody, Timeline } from '../../src/timeline/index.js';

const begin: EventBody = { type: 'phase.begin' };
const end: EventBody = { type: 'phase.end' };
const recv = (name: string, request: number, size = 8, session = 1): EventBody => ({
  type: 'wire.recv',
  session,
  index: 0,
  request,
  name,
  flags: 1,
  size,
  body: {},
  fds: 0,
});
const reply = (name: string, request: number, session = 1): EventBody => ({
  type: 'wire.send',
  session,
  channel: 'reply',
  request,
  name,
  flags: 5,
  size: 8,
  body: {},
  fds: 0,
});
const points = (...bodies: EventBody[]) =>
  cutPoints(new Timeline(bodies.map((body, seq) => ({ seq, t: seq, ...body }) as Event)));

describe('the cut points of a dry run', () => {
  test('a message without payload and answer', () => {
    expect(points(begin, recv('SET_OWNER', 3, 0), end)).toEqual(['SET_OWNER.1.before-read', 'SET_OWNER.1.after-read']);
  });

  test('one with a payload, and one that is answered', () => {
    expect(points(begin, recv('SET_FEATURES', 2), recv('GET_FEATURES', 1, 0), reply('GET_FEATURES', 1), end)).toEqual([
      'SET_FEATURES.1.before-read',
      'SET_FEATURES.1.half-read',
      'SET_FEATURES.1.after-read',
      'GET_FEATURES.1.before-read',
      'GET_FEATURES.1.after-read',
      'GET_FEATURES.1.half-header',
      'GET_FEATURES.1.half-payload',
      'GET_FEATURES.1.after-reply',
    ]);
  });

  test('counts by name, over sessions, within the phase only', () => {
    const owner = (session: number) => recv('SET_OWNER', 3, 0, session);
    expect(
      points(owner(1), begin, owner(2), owner(3), end, owner(4)).filter((point) => point.endsWith('after-read')),
    ).toEqual(['SET_OWNER.1.after-read', 'SET_OWNER.2.after-read']);
  });

  test('an answer belongs to the message before it on its session', () => {
    const names = points(
      begin,
      recv('GET_FEATURES', 1, 0),
      recv('GET_FEATURES', 1, 0, 2),
      reply('GET_FEATURES', 1, 2),
      end,
    );
    expect(names).not.toContain('GET_FEATURES.1.after-reply');
    expect(names).toContain('GET_FEATURES.2.after-reply');
  });

  test('there are none when the phase did not end, or there was none', () => {
    expect(points(begin, recv('SET_OWNER', 3, 0))).toEqual([]);
    expect(points(recv('SET_OWNER', 3, 0))).toEqual([]);
  });
});
