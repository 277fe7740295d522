import { expect, it } from 'vitest';
import { tellOthers } from '../../src/drill/others.js';
import { type EventBody, Recorder } from '../../src/timeline/index.js';
import { closed, opened, received } from './feed.js';

/** What p0 and p2 are told of p1, of whose back-end this happens. */
function told(...bodies: EventBody[]) {
  const p0 = new Recorder();
  const [p1, p2] = [new Recorder({ like: p0 }), new Recorder({ like: p0 })];
  tellOthers([
    { name: 'p0', recorder: p0 },
    { name: 'p1', recorder: p1 },
    { name: 'p2', recorder: p2 },
  ]);
  for (const body of bodies) p1.record(body);
  expect(p1.events).toHaveLength(bodies.length);
  const [here, there] = [p0, p2].map(({ events }) =>
    events.map((event) => (event.type === 'peer.other' ? `${event.port} ${event.state}` : event.type)),
  );
  expect(here).toEqual(there);
  return here;
}

const hold: EventBody = { type: 'peer.fault', session: 1, fault: 'hold', what: 'reads nothing' };

it('tells of a back-end that comes and goes', () => {
  expect(told(opened(1), received(1, 'GET_FEATURES'), closed(1), opened(2))).toEqual([
    'p1 connected',
    'p1 away',
    'p1 connected',
  ]);
  // Another client that waits behind is there when the first one has left.
  expect(told(opened(1), opened(2, { extra: true }), closed(1), closed(2))).toEqual(['p1 connected', 'p1 away']);
});

it('tells of one that QEMU may be waiting for, until it goes on', () => {
  const owing = ['p1 connected', 'p1 owing'];
  expect(told(opened(1), hold, { type: 'peer.resumed', session: 1 })).toEqual([...owing, 'p1 connected']);
  expect(told(opened(1), hold, received(1, 'SET_OWNER'))).toEqual([...owing, 'p1 connected']);
  expect(told(opened(1), hold, closed(1))).toEqual([...owing, 'p1 away']);
});

it('tells of one that accepts nothing and has QEMU in its backlog, where there is room', () => {
  const path = '/run/s';
  expect(told({ type: 'peer.hung', path }, { type: 'peer.accepts', path })).toEqual(['p1 owing', 'p1 away']);
  expect(told({ type: 'peer.hung', path, full: true })).toEqual([]);
});
