import type { Event, EventBody, EventOf, SessionClose, SessionOpen } from '../../src/timeline/index.js';

export const opened = (session: number, more: Partial<SessionOpen> = {}): EventBody => ({
  ...{ type: 'session.open', session, by: 'dial', pid: 7 },
  ...more,
});
export const closed = (session: number, more: Partial<SessionClose> = {}): EventBody => ({
  ...{ type: 'session.close', session, by: 'peer', how: 'close' },
  ...more,
});
export const received = (session: number, name: string, body: EventOf<'wire.recv'>['body'] = {}): EventBody => ({
  ...{ type: 'wire.recv', session, index: 0, request: 1, name, flags: 1, size: 0, body, fds: 0 },
});
export const started = (session: number, ring: number, enabled = true): EventBody => ({
  ...{ type: 'ring.start', session, ring, size: 256, base: 0, usedIdx: 0, availIdx: 0, enabled },
});
export const stopped = (session: number, ring: number): EventBody => ({ type: 'ring.stop', session, ring, base: 0 });
export const enabled = (session: number, ring: number, on: boolean): EventBody => ({
  ...{ type: 'ring.enable', session, ring, enabled: on },
});
export const ping = (number: number, epoch = 1, nic = 'eth0'): EventBody => ({
  ...{ type: 'guest.ping', nic, epoch, number, latency: 1 },
});
export const echo = (session: number, seqs: [number, number][], id = 9, from = '10.0.0.2'): EventBody => ({
  ...{ type: 'guest.echo', from, id, seqs, session },
});

/** Gives events, each at its time, to what follows them. @returns what it said to each */
export function feed<T>(follower: { take(event: Event): T }, ...entries: [t: number, body: EventBody][]): T[] {
  return entries.map(([t, body], seq) => follower.take({ seq, t, ...body } as Event));
}
