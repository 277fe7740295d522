import type { Ms, SocketPath, Timeline } from '../timeline/index.js';
import { contextOf } from './body.js';
import { type Break, counted, hold, judged, ms, notApplicable } from './judgement.js';
import { removals, withoutChardev, withoutNetdev, withoutSocket } from './removal.js';
import type { Requirement } from './requirement.js';
import { firstWord, losses, type SessionView, servedTogether, sessionViews } from './sessions.js';
import { horizon, perTimeline, type Span, START_MS, shortages, spent, uncovered, within } from './timing.js';

/** From the moment a connection is QEMU's to serve to its first message; measured 0.2-0.6 ms. */
const SERVE_MS = 1000;

/** A connection of the tester's that QEMU accepts only after its end looks like QEMU's own for a moment; its own would stay. */
const SELF_DIAL_MS = 1000;

const isServer = (t: Timeline): boolean => contextOf(t)?.role === 'server';

/** When the last of those that were established before a session was over, by session. */
const ahead = perTimeline((t: Timeline): ReadonlyMap<SessionView, { to: Ms; toSeq: number }> => {
  const before = new Map<SessionView, { to: Ms; toSeq: number }>();
  let last = { to: 0, toSeq: -1 };
  for (const view of sessionViews(t)) {
    before.set(view, last);
    last = { to: Math.max(last.to, view.to), toSeq: Math.max(last.toSeq, view.toSeq) };
  }
  return before;
});

/** Since when a session is the one to be served: all that were established before it are over. */
const turn = (t: Timeline, view: SessionView): Ms => Math.max(view.open.t, ahead(t).get(view)!.to);

/** Whether another session was open when this one was established, so that it had to wait in the backlog. */
const waited = (t: Timeline, view: SessionView): boolean => ahead(t).get(view)!.toSeq > view.open.seq;

/** A break when a session whose turn had come got no message within the bound; the wait otherwise. */
function service(t: Timeline, view: SessionView, bound: Ms): { wait: number; overdue?: Break } {
  const from = turn(t, view);
  const first = firstWord(view);
  const end = first?.t ?? Math.min(view.to, horizon(t).t);
  // A connection takes a descriptor, and a netdev to serve it.
  const free = uncovered({ from, to: Math.max(from, end) }, [...shortages(t), ...withoutNetdev(t)]);
  const wait = free.reduce((sum, part) => sum + spent(t, part.from, part.to), 0);
  if (wait <= bound) return { wait };
  const what = first ? `got its first message after ${ms(wait)}` : `got no message in ${ms(wait)}`;
  const events = [view.open.seq, ...(first ? [first.seq] : view.close ? [view.close.seq] : [])];
  return { wait, overdue: { kind: first ? 'violation' : 'hang', seen: `session ${view.session} ${what}`, events } };
}

export const R6: Requirement = {
  id: 'R6',
  title: 'One connection at a time',
  sentence: 'A listening QEMU serves one connection; another waits in the backlog and is served when the first ends.',
  level: 'must',
  label: 'regression',
  sources: ['qemu:chardev/char-socket.c#tcp_chr_new_client', 'defect:second-client-while-connected'],
  allowed: `No message on a waiting connection; the first message within ${SERVE_MS} ms of its turn.`,
  judge(t) {
    if (!isServer(t)) return notApplicable('QEMU does not listen');
    const waiting = sessionViews(t).filter((view) => waited(t, view));
    if (waiting.length === 0) return notApplicable('nobody dialled while a peer was connected');
    const breaks: Break[] = servedTogether(t).map(({ first, second, start }) => ({
      kind: 'violation',
      seen: `session ${second.session} was served while session ${first.session} was open`,
      events: [first.open.seq, second.open.seq, start.seq],
    }));
    for (const view of waiting) {
      const { overdue } = service(t, view, SERVE_MS);
      breaks.push(...(overdue ? [overdue] : []), ...dropped(t, view));
    }
    const served = waiting.filter((view) => firstWord(view) !== undefined).length;
    return judged(
      breaks,
      hold(
        `${counted(waiting.length, 'connection')} waited, ${served} of them served in turn`,
        waiting.map((view) => view.open.seq),
      ),
    );
  },
};

export const R7: Requirement = {
  id: 'R7',
  title: 'The listener serves, and is back at once',
  sentence:
    'A listening QEMU serves its first peer, and after a peer closed its connection a new one without delay, any number of times.',
  level: 'must',
  label: 'contract',
  sources: [
    'qemu:chardev/char-socket.c#tcp_chr_wait_connected',
    'qemu:chardev/char-socket.c#tcp_chr_disconnect_locked',
  ],
  allowed: `The first message comes within ${START_MS} ms to the first peer, which finds QEMU starting up; after that every dial succeeds, and it comes within ${SERVE_MS} ms.`,
  judge(t) {
    if (!isServer(t)) return notApplicable('QEMU does not listen');
    const views = sessionViews(t).filter((view) => !waited(t, view));
    const services = views.map((view, i) => service(t, view, i === 0 ? START_MS : SERVE_MS));
    const breaks: Break[] = [
      ...refused(t),
      ...services.flatMap(({ overdue }) => overdue ?? []),
      ...views.flatMap((view) => dropped(t, view)),
    ];
    if (breaks.length === 0 && views.length === 0) return notApplicable('nobody connected');
    const slowest = Math.max(0, ...services.map(({ wait }) => wait));
    return judged(
      breaks,
      hold(
        `first peer and ${counted(views.length - 1, 'return')}, first message after at most ${ms(slowest)}`,
        views.map((view) => view.open.seq),
      ),
    );
  },
};

/** Dials that found no listener once there had been one: after a loss. */
function refused(t: Timeline): Break[] {
  const lost = losses(t)[0]?.close;
  if (!lost) return [];
  const end = horizon(t);
  const absent = [...decoySpans(t), ...withoutSocket(t)];
  return t
    .all('peer.dial-failed')
    .filter((dial) => dial.seq > lost.seq && dial.t < end.t)
    .filter((dial) => dial.code === 'ECONNREFUSED' || dial.code === 'ENOENT')
    .filter((dial) => !within(absent, dial.t, dial.t))
    .map((dial) => ({
      kind: 'violation',
      seen: `a dial ${ms(dial.t - lost.t)} after the first loss failed with ${dial.code}`,
      events: [lost.seq, dial.seq],
    }));
}

/** QEMU let a peer connect and closed without a word, with nothing to make it do so. */
function dropped(t: Timeline, view: SessionView): Break[] {
  if (firstWord(view) || view.short || view.close?.by !== 'front-end' || view.close.t >= horizon(t).t) return [];
  if (within(withoutChardev(t), view.close.t, view.close.t)) return [];
  const seen = `QEMU closed session ${view.session} without a message`;
  return [{ kind: 'violation', seen, events: [view.open.seq, view.close.seq] }];
}

export const R8: Requirement = {
  id: 'R8',
  title: 'A listening QEMU never dials',
  sentence: 'A listening QEMU does not initiate a connection, whatever time passes.',
  level: 'must',
  label: 'regression',
  sources: ['qemu:chardev/char-socket.c#qmp_chardev_open_socket', 'defect:server-self-connect-after-R'],
  allowed: `No connection to its own socket that stands for ${SELF_DIAL_MS} ms, nor any to another that stands at its path.`,
  judge(t) {
    if (!isServer(t)) return notApplicable('QEMU does not listen');
    const pid = t.first('qemu.spawn')?.pid;
    const breaks: Break[] = [
      ...selfDials(t),
      ...t
        .all('decoy.accept')
        .filter((accept) => pid === undefined || accept.pid === pid)
        .map((accept) => ({
          kind: 'violation' as const,
          seen: `QEMU dialled the socket that stood in place of its own${afterLoss(t, accept)}`,
          events: [accept.seq],
        })),
    ];
    const end = horizon(t).t;
    const first = sessionViews(t)[0];
    if (breaks.length === 0 && !first) return notApplicable('no peer ever connected');
    const away = first
      ? uncovered(
          { from: first.open.t, to: end },
          sessionViews(t).map((view) => ({ from: view.open.t, to: view.to })),
        )
      : [];
    const longest = Math.max(0, ...away.map((span) => span.to - span.from));
    return judged(breaks, hold(`QEMU did not dial; the longest time without a peer was ${ms(longest)}`));
  },
};

/** The first connection at QEMU's socket that stood longer than one of the tester's does. It is seen again at every look. */
function selfDials(t: Timeline): Break[] {
  const dial = t.first('self-dial', (e) => spent(t, e.since, e.t) >= SELF_DIAL_MS);
  if (!dial) return [];
  const seen = `QEMU dialled its own socket${afterLoss(t, { t: dial.since, seq: dial.seq })}`;
  return [{ kind: 'violation', seen, events: [dial.seq] }];
}

const afterLoss = (t: Timeline, event: { t: number; seq: number }): string => {
  const loss = t.last('session.close', () => true, event.seq);
  return loss ? ` ${ms(event.t - loss.t)} after session ${loss.session} ended` : '';
};

/** When a listener of the tester's stood at QEMU's path. */
function decoySpans(t: Timeline): Span[] {
  return t
    .all('peer.listen')
    .filter((listen) => listen.decoy)
    .map((listen) => {
      const end = t.first('peer.unlisten', (unlisten) => unlisten.decoy === true, listen.seq);
      return { from: listen.t, to: end?.t ?? Infinity };
    });
}

/** Numbers of the events after which there is a new chardev: the first is QEMU's own. */
const chardevLives = (t: Timeline): number[] => [-1, ...removals(t).flatMap(({ chardev }) => chardev?.asked.seq ?? [])];

/** How a look at the socket path differs from the first one. Whoever started a QEMU that was joined decides who can connect. */
function change(first: SocketPath, { inode, born, mode }: SocketPath, joined: boolean): string | undefined {
  if (inode === undefined) return 'the socket path vanished';
  if (inode !== first.inode) return `the inode changed from ${first.inode} to ${inode}`;
  if (born !== first.born) return `inode ${inode} was made anew`;
  if (mode === first.mode || joined) return undefined;
  return `the mode changed from 0${first.mode?.toString(8)} to 0${mode?.toString(8)}`;
}

export const R9: Requirement = {
  id: 'R9',
  title: 'The socket path stays',
  sentence:
    'The socket of a listening QEMU stays at its path, the same inode with the same permissions, for the life of its chardev.',
  level: 'must',
  label: 'contract',
  sources: ['qemu:chardev/char-socket.c#tcp_chr_disconnect_locked'],
  allowed:
    'One inode from first sight to quit, and after each chardev-add another; while the tester put a decoy in its place nobody looks. Whoever started a QEMU that was joined may change who can connect. That it goes with the netdev is for R41.',
  judge(t) {
    if (!isServer(t)) return notApplicable('QEMU does not listen');
    const sights = t.all('socket.path');
    const firsts = chardevLives(t).flatMap(
      (begin) => t.first('socket.path', (s) => s.inode !== undefined, begin) ?? [],
    );
    const [atFirst] = firsts;
    if (!atFirst) return notApplicable('the socket path was never seen');
    const end = horizon(t);
    const breaks: Break[] = sights.flatMap((sight) => {
      const first = firsts.findLast(({ seq }) => seq < sight.seq);
      if (!first || firsts.includes(sight) || sight.t >= end.t) return [];
      if (sight.inode === undefined && within(withoutSocket(t), sight.t, sight.t)) return [];
      const seen = change(first, sight, contextOf(t)?.joined === true);
      if (!seen) return [];
      return { kind: 'violation', seen: `${seen}${afterLoss(t, sight)}`, events: [first.seq, sight.seq] };
    });
    return judged(
      breaks,
      hold(
        `inode ${firsts.map(({ inode }) => inode).join(', then ')} for ${ms(end.t - atFirst.t)}`,
        firsts.map(({ seq }) => seq),
      ),
    );
  },
};
