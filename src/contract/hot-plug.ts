import type { Event, Ms, Timeline } from '../timeline/index.js';
import { contextOf } from './body.js';
import { type Break, counted, hold, judged, ms, notApplicable } from './judgement.js';
import { type Removal, removals } from './removal.js';
import type { Requirement } from './requirement.js';
import { servedSessions, sessionViews } from './sessions.js';
import { horizon, spent } from './timing.js';

/** All of it happens within the command; the bound is for who looks from outside. Measured 1-3 ms. */
const GONE_MS = 1000;

/** A connection that QEMU had begun may be seen that late. */
const NOTICE_MS = 250;

/** When a removal was over: the chardev was to be added again, or the record's relevant part ends. */
const until = (t: Timeline, { chardev }: Removal): Ms => Math.min(chardev?.asked.t ?? Infinity, horizon(t).t);

/** Connections that outlive their netdev. */
function standing(t: Timeline, removal: Removal, gone: Event): Break[] {
  return sessionViews(t)
    .filter((view) => view.open.seq < gone.seq && view.toSeq > gone.seq)
    .flatMap((view) => {
      const stood = spent(t, gone.t, Math.max(gone.t, Math.min(view.to, until(t, removal))));
      if (stood <= GONE_MS) return [];
      const seen = `session ${view.session} stood for ${ms(stood)} after its netdev was removed`;
      return [{ kind: 'violation', seen, events: [gone.seq, ...(view.close ? [view.close.seq] : [])] }];
    });
}

/** A listening QEMU's socket that outlives it. */
function listening(t: Timeline, removal: Removal, gone: Event): Break[] {
  const to = until(t, removal);
  const there = t.last('socket.path', (sight) => sight.t <= to);
  if (there?.inode === undefined || spent(t, gone.t, Math.max(gone.t, to)) <= GONE_MS) return [];
  const seen = `the socket path is still there ${ms(to - gone.t)} after the netdev was removed`;
  return [{ kind: 'violation', seen, events: [there.seq, gone.seq] }];
}

/** Dials of a QEMU that has nothing to dial for. */
function dialled(t: Timeline, removal: Removal, gone: Event): Break[] {
  return t
    .all('session.open')
    .filter((open) => open.by === 'accept' && open.seq > gone.seq && open.t < until(t, removal))
    .filter((open) => spent(t, gone.t, open.t) > NOTICE_MS)
    .map((open) => ({
      kind: 'violation',
      seen: `QEMU dialled ${ms(open.t - gone.t)} after the netdev was removed`,
      events: [gone.seq, open.seq],
    }));
}

/** A command that adds a netdev and goes on after the handshake that it waited for. */
function unanswered(t: Timeline, { netdev }: Removal): Break[] {
  if (!netdev) return [];
  const { asked, answered } = netdev;
  const to = Math.min(answered?.t ?? Infinity, horizon(t).t);
  const complete = servedSessions(t).find(
    ({ handshake: { complete: last }, toSeq }) =>
      last && last.seq > asked.seq && last.t < to && toSeq > (answered?.seq ?? last.seq),
  )?.handshake.complete;
  if (!complete) return [];
  const wait = spent(t, complete.t, to);
  if (wait <= GONE_MS) return [];
  const what = answered ? 'was answered only' : 'was not answered';
  return [
    {
      kind: 'hang',
      seen: `netdev_add ${what} ${ms(wait)} after the handshake of session ${complete.session}`,
      events: [asked.seq, complete.seq, ...(answered ? [answered.seq] : [])],
    },
  ];
}

export const R41: Requirement = {
  id: 'R41',
  title: 'A netdev that is removed lets go of its peer, and one that is added serves it',
  sentence:
    'With netdev_del, at the latest when no device uses the netdev any more, the connection ends and the chardev neither listens nor dials; netdev_add is done with the handshake.',
  level: 'must',
  label: 'contract',
  sources: [
    'qemu:net/vhost-user.c#net_vhost_user_cleanup',
    'qemu:net/net.c#qemu_del_net_client',
    'qemu:chardev/char-socket.c#char_socket_finalize',
    'qemu:net/vhost-user.c#net_vhost_user_init',
    'defect:watch-fires-after-netdev-del',
  ],
  allowed: `Connection and socket gone ${GONE_MS} ms after the answer to netdev_del, or the device's DEVICE_DELETED, and no dial from ${NOTICE_MS} ms after it; netdev_add answered within ${GONE_MS} ms of the first complete handshake.`,
  judge(t) {
    const all = removals(t);
    const last = all.at(-1);
    if (!last) return notApplicable('no netdev was removed');
    const server = contextOf(t)?.role === 'server';
    const left = (removal: Removal, gone: Event) => [
      ...standing(t, removal, gone),
      ...(server ? listening(t, removal, gone) : dialled(t, removal, gone)),
    ];
    const breaks = all.flatMap((removal) => [
      ...(removal.gone ? left(removal, removal.gone) : []),
      ...unanswered(t, removal),
    ]);
    const added = all.filter(({ netdev }) => netdev?.answered);
    return judged(
      breaks,
      hold(
        `${counted(all.length, 'netdev')} removed, ${added.length} added again`,
        all.map(({ answered }) => answered.seq),
      ),
    );
  },
};
