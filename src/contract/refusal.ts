import type { EventOf, Timeline } from '../timeline/index.js';
import { bigIn, toBig } from './body.js';
import { FORWARDED } from './features.js';
import { type Break, counted, hold, judged, notApplicable } from './judgement.js';
import type { Requirement } from './requirement.js';
import { type SessionView, servedSessions } from './sessions.js';
import { horizon } from './timing.js';

/** Commands that take the connection away, at once or by what they remove. */
const removing: ReadonlySet<string> = new Set(['chardev-change', 'chardev-remove', 'netdev_del', 'yank']);

type Closed = SessionView & { close: EventOf<'session.close'> };

/** Whether the peer of a session offers less than some driver of the guest accepted before. */
function insufficient(t: Timeline, view: SessionView): boolean {
  const reply = view.replies.find(({ name }) => name === 'GET_FEATURES');
  const offered = (reply && bigIn(reply.body, 'value')) ?? 0n;
  return t
    .all('driver.features')
    .some(({ seq, accepted }) => seq < view.toSeq && ((toBig(accepted) ?? 0n) & FORWARDED & ~offered) !== 0n);
}

/** Sessions that QEMU closed after it had gone through their handshake, and nobody had told it to. */
function dropped(t: Timeline, views: readonly SessionView[]): Closed[] {
  const end = horizon(t).t;
  const removed = t.first('qmp.command', ({ execute }) => removing.has(execute))?.seq ?? Infinity;
  return views
    .filter((view): view is Closed => view.close?.by === 'front-end' && view.close.t < end && view.close.seq < removed)
    .filter((view) => view.handshake.complete !== undefined && !insufficient(t, view));
}

export const R29: Requirement = {
  id: 'R29',
  title: 'QEMU keeps a back-end that suffices',
  sentence:
    'QEMU does not close the connection of a back-end whose handshake it went through and which offers what the guest accepted.',
  level: 'must',
  label: 'contract',
  sources: ['qemu:net/vhost-user.c#vhost_user_start', 'qemu:hw/net/vhost_net.c#vhost_net_init'],
  allowed: `The peer ends it; or QEMU does, told by quit, ${[...removing].join(', ')}, or since features that the guest accepted are not offered.`,
  judge(t) {
    const complete = servedSessions(t).filter(({ handshake }) => handshake.complete);
    if (complete.length === 0) return notApplicable('no handshake was completed');
    const breaks = dropped(t, complete).map(
      ({ session, close, handshake }): Break => ({
        kind: 'violation',
        seen: `QEMU closed session ${session} after its handshake`,
        events: [handshake.complete!.seq, close.seq],
      }),
    );
    const events = complete.map(({ handshake }) => handshake.complete!.seq);
    return judged(breaks, hold(`QEMU kept ${counted(complete.length, 'connection')} to its end`, events));
  },
};
