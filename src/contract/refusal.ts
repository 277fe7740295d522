import type { EventOf, Timeline } from '../timeline/index.js';
import { type Break, counted, hold, judged, ms, notApplicable } from './judgement.js';
import type { Requirement } from './requirement.js';
import { type SessionView, servedSessions, unowed } from './sessions.js';
import { type Lack, lack, mayRefuse } from './sufficiency.js';
import { horizon } from './timing.js';

/** Commands that take the connection away, at once or by what they remove. */
const removing: ReadonlySet<string> = new Set(['chardev-change', 'chardev-remove', 'netdev_del', 'yank']);

/** From the answer that tells it to the close; QEMU goes through the rest of the handshake first. Measured under 10 ms. */
const REFUSE_MS = 2000;

type Closed = SessionView & { close: EventOf<'session.close'> };

const closedByQemu = (t: Timeline, view: SessionView): view is Closed =>
  view.close?.by === 'front-end' && view.close.t < horizon(t).t;

/** Sessions that QEMU closed after it had gone through their handshake, and nobody had told it to. */
function dropped(t: Timeline, views: readonly SessionView[]): Closed[] {
  const refused = new Set(t.all('qmp.reply').flatMap(({ id, error }) => (error === undefined ? [] : [id])));
  const removals = t.all('qmp.command').filter(({ execute, id }) => removing.has(execute) && !refused.has(id));
  const told = (close: EventOf<'session.close'>) =>
    removals.some((command) => command.seq < close.seq && unowed(t, command.t, close.t) <= REFUSE_MS);
  return views
    .filter((view) => closedByQemu(t, view))
    .filter(({ close, handshake }) => !told(close) && handshake.complete !== undefined)
    .filter((view) => !mayRefuse(t, view));
}

/** What QEMU did with a back-end that lacks something, where it did not close the connection. */
function kept(t: Timeline, view: SessionView, { what, seq }: Lack): Break[] {
  const about = `session ${view.session}, whose back-end ${what}`;
  const ring = t.first('ring.start', ({ session }) => session === view.session, seq);
  if (ring) return [{ kind: 'violation', seen: `QEMU started ring ${ring.ring} in ${about}`, events: [seq, ring.seq] }];
  if (closedByQemu(t, view)) return [];
  const told = t.events[seq]!;
  const wait = unowed(t, told.t, Math.min(view.to, horizon(t).t));
  if (wait <= REFUSE_MS) return [];
  return [{ kind: 'violation', seen: `QEMU did not close ${about}, in ${ms(wait)}`, events: [seq] }];
}

export const R29: Requirement = {
  id: 'R29',
  title: 'QEMU keeps a back-end that suffices, and refuses one that does not',
  sentence:
    'QEMU does not close the connection of a back-end whose handshake it went through and which offers what the guest and the device need; of one that does not it closes the connection, and starts no ring.',
  level: 'must',
  label: 'contract',
  sources: [
    'spec:Multiple queue support',
    'qemu:net/vhost-user.c#vhost_user_start',
    'qemu:hw/net/vhost_net.c#vhost_net_init',
    'qemu:hw/virtio/vhost-user.c#vhost_user_backend_init',
    'defect:features-shrink-reject-loop',
    'defect:init-failure-loop-forever-at-start',
  ],
  allowed: `A back-end suffices that offers every feature that the guest accepted, as many queue pairs as the device has, and a memory slot for each region. QEMU may also refuse one that lacks VHOST_USER_F_PROTOCOL_FEATURES after one that had it, that has fewer memory slots than one before, that wants an IOMMU without REPLY_ACK and BACKEND_REQ, or that breaks the protocol. Otherwise the peer ends the connection, or QEMU told by quit, ${[...removing].join(', ')}. Refused within ${REFUSE_MS} ms.`,
  judge(t) {
    const served = servedSessions(t);
    const complete = served.filter(({ handshake }) => handshake.complete);
    const insufficient = served.flatMap((view) => {
      const what = lack(t, view);
      return what ? [{ view, what }] : [];
    });
    if (complete.length === 0 && insufficient.length === 0) return notApplicable('no handshake was completed');
    const breaks = [
      ...dropped(t, complete).map(
        ({ session, close, handshake }): Break => ({
          kind: 'violation',
          seen: `QEMU closed session ${session} after its handshake`,
          events: [handshake.complete!.seq, close.seq],
        }),
      ),
      ...insufficient.flatMap(({ view, what }) => kept(t, view, what)),
    ];
    const good = complete.filter((view) => !insufficient.some((one) => one.view === view));
    const refused = insufficient.length > 0 ? `, refused ${insufficient.length}: ${reasons(insufficient)}` : '';
    return judged(
      breaks,
      hold(`QEMU kept ${counted(good.length, 'connection')} to its end${refused}`, [
        ...good.map(({ handshake }) => handshake.complete!.seq),
        ...insufficient.map(({ what }) => what.seq),
      ]),
    );
  },
};

const reasons = (insufficient: readonly { what: Lack }[]): string =>
  [...new Set(insufficient.map(({ what }) => what.what))].join('; ');
