import type { Timeline } from '../timeline/index.js';
import { contextOf } from './body.js';
import { type Break, counted, hold, judged, ms, notApplicable } from './judgement.js';
import type { Requirement } from './requirement.js';
import { losses, type SessionView, servedTogether, sessionViews } from './sessions.js';
import { horizon, type Span, spent, uncovered } from './timing.js';

/** From the moment a connection is QEMU's to serve to its first message; measured 0.2-0.6 ms. */
const SERVE_MS = 1000;

/** Rounds of the watch on the socket path: a change is seen this much later. */
const PATH_WATCH_MS = 500;

const isServer = (t: Timeline): boolean => contextOf(t)?.role === 'server';

/** Since when a session is the one to be served: all that were established before it are over. */
function turn(t: Timeline, view: SessionView): number {
  const ahead = sessionViews(t).filter((other) => other.open.seq < view.open.seq);
  return Math.max(view.open.t, ...ahead.map((other) => other.to));
}

/** Whether another session was open when this one was established, so that it had to wait in the backlog. */
function waited(t: Timeline, view: SessionView): boolean {
  return sessionViews(t).some((other) => other.open.seq < view.open.seq && other.toSeq > view.open.seq);
}

/** A break when a session whose turn had come got no message within the bound; the wait otherwise. */
function service(t: Timeline, view: SessionView): { wait: number; overdue?: Break } {
  const from = turn(t, view);
  const first = view.received[0];
  const end = first?.t ?? Math.min(view.to, horizon(t).t);
  const wait = spent(t, from, Math.max(from, end));
  if (wait <= SERVE_MS) return { wait };
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
    const services = waiting.map((view) => service(t, view));
    breaks.push(...services.flatMap(({ overdue }) => overdue ?? []));
    const served = waiting.filter((view) => view.received.length > 0).length;
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
  title: 'The listener is back at once',
  sentence: 'After a peer closed its connection a listening QEMU serves a new one without delay, any number of times.',
  level: 'must',
  label: 'contract',
  sources: ['qemu:chardev/char-socket.c#tcp_chr_disconnect_locked'],
  allowed: `The dial succeeds and the first message comes within ${SERVE_MS} ms.`,
  judge(t) {
    if (!isServer(t)) return notApplicable('QEMU does not listen');
    const firstLoss = losses(t)[0];
    if (!firstLoss) return notApplicable('no connection was lost');
    const end = horizon(t);
    const decoys = decoySpans(t, 0);
    const breaks: Break[] = t
      .all('peer.dial-failed')
      .filter((dial) => dial.seq > firstLoss.close.seq && dial.t < end.t)
      .filter((dial) => dial.code === 'ECONNREFUSED' || dial.code === 'ENOENT')
      .filter((dial) => !decoys.some((span) => span.from <= dial.t && dial.t <= span.to))
      .map((dial) => ({
        kind: 'violation',
        seen: `a dial ${ms(dial.t - firstLoss.close.t)} after the first loss failed with ${dial.code}`,
        events: [firstLoss.close.seq, dial.seq],
      }));
    const returns = sessionViews(t).filter((view) => view.open.seq > firstLoss.close.seq && !waited(t, view));
    const services = returns.map((view) => service(t, view));
    breaks.push(...services.flatMap(({ overdue }) => overdue ?? []), ...returns.flatMap((view) => dropped(t, view)));
    if (breaks.length === 0 && returns.length === 0) return notApplicable('no peer came back');
    const slowest = Math.max(0, ...services.map(({ wait }) => wait));
    return judged(
      breaks,
      hold(
        `${counted(returns.length, 'return')}, first message after at most ${ms(slowest)}`,
        returns.map((view) => view.open.seq),
      ),
    );
  },
};

/** QEMU accepted a returning peer and closed without a word. */
function dropped(t: Timeline, view: SessionView): Break[] {
  if (view.received.length > 0 || view.close?.by !== 'front-end' || view.close.t >= horizon(t).t) return [];
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
  allowed: 'No connection to its own socket, nor to another that stands at its path.',
  judge(t) {
    if (!isServer(t)) return notApplicable('QEMU does not listen');
    const pid = t.first('qemu.spawn')?.pid;
    const breaks: Break[] = [
      ...t.all('self-dial').map((dial) => ({
        kind: 'violation' as const,
        seen: `QEMU dialled its own socket${afterLoss(t, dial)}`,
        events: [dial.seq],
      })),
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

const afterLoss = (t: Timeline, event: { t: number; seq: number }): string => {
  const loss = t.last('session.close', () => true, event.seq);
  return loss ? ` ${ms(event.t - loss.t)} after session ${loss.session} ended` : '';
};

/** When a listener of the tester's stood at QEMU's path; `margin` is added on both sides. */
function decoySpans(t: Timeline, margin: number): Span[] {
  return t
    .all('peer.listen')
    .filter((listen) => listen.decoy)
    .map((listen) => {
      const end = t.first('peer.unlisten', (unlisten) => unlisten.decoy === true, listen.seq);
      return { from: listen.t - margin, to: (end?.t ?? Infinity) + margin };
    });
}

export const R9: Requirement = {
  id: 'R9',
  title: 'The socket path stays',
  sentence: 'The socket of a listening QEMU stays at its path, the same inode, for the life of QEMU.',
  level: 'must',
  label: 'contract',
  sources: ['qemu:chardev/char-socket.c#tcp_chr_disconnect_locked'],
  allowed: 'One inode from first sight to quit; while the tester put a decoy in its place nothing is judged.',
  judge(t) {
    if (!isServer(t)) return notApplicable('QEMU does not listen');
    const sights = t.all('socket.path');
    const first = sights.find((sight) => sight.inode !== undefined);
    if (!first) return notApplicable('the socket path was never seen');
    const end = horizon(t);
    const decoys = decoySpans(t, PATH_WATCH_MS);
    // A change counts at its own time, or when the decoy that covers it is gone.
    const breaks: Break[] = sights.flatMap((sight, i) => {
      if (sight.seq <= first.seq || (sight.inode === first.inode && sight.born === first.born)) return [];
      const until = Math.min(sights[i + 1]?.t ?? Infinity, end.t);
      const [bare] = uncovered({ from: sight.t, to: until }, decoys);
      if (!bare) return [];
      const seen =
        sight.inode === undefined
          ? 'the socket path vanished'
          : sight.inode === first.inode
            ? `inode ${first.inode} was made anew`
            : `the inode changed from ${first.inode} to ${sight.inode}`;
      return { kind: 'violation', seen: `${seen}${afterLoss(t, sight)}`, events: [first.seq, sight.seq] };
    });
    return judged(breaks, hold(`inode ${first.inode} for ${ms(end.t - first.t)}`, [first.seq]));
  },
};
