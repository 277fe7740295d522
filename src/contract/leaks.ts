import type { EventOf, Ms, Timeline } from '../timeline/index.js';
import { type Break, counted, hold, judged, notApplicable } from './judgement.js';
import { migratingIn } from './migrations.js';
import type { Requirement } from './requirement.js';
import { allRunning } from './ring-spans.js';
import { servedSessions } from './sessions.js';
import { horizon } from './timing.js';

/**
 * Something that QEMU opens once, on the first return of a peer, cannot be told from a leak while there was only one
 * return. From two on, the first return is the baseline and nothing may grow.
 */
const SINGLE_RETURN_SLACK = 1;

/**
 * A client's connection is made by a thread of its own (io/task.c, qio_task_run_in_thread), which may still be ending when
 * the session is settled; a thread leaked with each return exceeds this after a few.
 */
const THREAD_SLACK = 1;

/**
 * A QEMU that ends a session itself, or stops its rings, has let go of what it held for them before the tester reads of it; so
 * much earlier at most, on a machine that makes nobody wait. What a step looked at before it was done does count.
 */
const NOTICE_MS = 250;

/** The least that was open in the settled part of a session: what is open for a moment only does not count. */
interface Level {
  session: number;
  /** Whether rings run, whether the channel for the back-end's requests is open, and how many other ports have a back-end: all take descriptors. */
  state: string;
  fds: number;
  threads: number;
  seq: number;
}

/** Whether a client of the second monitor was connected, or QEMU, which may have been busy, has not noticed yet that it is not. */
const monitored = (t: Timeline, at: Ms): boolean =>
  t.all('monitor.open').some((open) => {
    const close = t.first('monitor.close', ({ client }) => client === open.client, open.seq);
    const beat = close && t.first('qmp.heartbeat', ({ sent }) => sent >= close.t, close.seq);
    if (!beat) return at >= open.t;
    return at >= open.t && at - beat.t <= NOTICE_MS + t.starved(beat.t, at);
  });

/** How many other ports of the same QEMU have a back-end. */
function othersThere(t: Timeline, seq: number): number {
  const states = new Map(t.all('peer.other').flatMap((other) => (other.seq < seq ? [[other.port, other.state]] : [])));
  return [...states.values()].filter((state) => state !== 'away').length;
}

/** Levels per session: from its first settled sample until its rings stop, at the latest with its end. */
function levels(t: Timeline): Level[] {
  // A migration has a log, a stream and threads of its own, and a client of the second monitor its connection.
  const samples = t
    .all('proc.sample')
    .filter((sample) => !migratingIn(t, { from: sample.t, to: sample.t }) && !monitored(t, sample.t));
  const end = horizon(t).t;
  return servedSessions(t).flatMap((view) => {
    const running = allRunning(t, view);
    const ready = running ?? view.handshake.complete;
    const settled = samples.find((sample) => ready && sample.settled && sample.t >= ready.t);
    if (!settled) return [];
    // A driver that resets frees what its rings held: that is another state, not the baseline of this one.
    const reset = t.first('driver.reset', () => true, settled.seq)?.t ?? Infinity;
    const stop = t.first('ring.stop', (event) => event.session === view.session, settled.seq)?.t ?? Infinity;
    // The same of another port's back-end that comes or goes.
    const other = t.first('peer.other', () => true, settled.seq)?.t ?? Infinity;
    const to = Math.min(view.to, end, reset, stop, other);
    if (settled.t >= to) return [];
    const ended = t.first('session.close', ({ session }) => session === view.session);
    const asked = view.received.find(({ name, seq }) => name === 'GET_VRING_BASE' && seq > settled.seq);
    const told = [asked, ended?.by === 'front-end' ? ended : undefined].flatMap((event) => event?.t ?? []);
    const letGo = (at: Ms) => told.some((when) => when - at <= NOTICE_MS + t.starved(at, when));
    const counts = samples.filter(
      (sample) => sample.seq >= settled.seq && sample.t < to && (sample === settled || !letGo(sample.t)),
    );
    // Rings that stopped before the look took what they held with them: a start that failed at its end.
    const stopped = running && t.first('ring.stop', ({ session }) => session === view.session, running.seq);
    const rings = running !== undefined && !(stopped && stopped.seq < settled.seq);
    const channel =
      view.received.some(({ name }) => name === 'SET_BACKEND_REQ_FD') &&
      !t.first('wire.backend-close', ({ session, t: at }) => session === view.session && at < to);
    const least = (of: (sample: EventOf<'proc.sample'>) => number) => Math.min(...counts.map(of));
    return [
      {
        session: view.session,
        state: `${rings}/${channel}/${othersThere(t, settled.seq)}`,
        fds: least((sample) => sample.fds),
        threads: least((sample) => sample.threads),
        seq: counts.at(-1)!.seq,
      },
    ];
  });
}

export const R5: Requirement = {
  id: 'R5',
  title: 'Nothing leaks from return to return',
  sentence: 'The numbers of file descriptors and threads return to their baseline after each loss and return.',
  level: 'must',
  label: 'regression',
  sources: ['defect:notifier-fd-leak-per-start', 'qemu:hw/virtio/vhost.c#vhost_dev_stop'],
  allowed: `In like states the same counts: no growth from the first return to the last; with a single return at most ${SINGLE_RETURN_SLACK} more than before it, and at most ${THREAD_SLACK} more thread that is still ending.`,
  judge(t) {
    const all = levels(t);
    const last = all.at(-1);
    const alike = all.filter((level) => level.state === last?.state);
    if (!last || alike.length < 2) return notApplicable('no two sessions in the same steady state were sampled');
    const returns = alike.length - 1;
    const base = returns >= 2 ? alike[1]! : alike[0]!;
    const slack = returns >= 2 ? 0 : SINGLE_RETURN_SLACK;
    const breaks: Break[] = (['fds', 'threads'] as const).flatMap((what) => {
      if (last[what] - base[what] <= (what === 'threads' ? Math.max(slack, THREAD_SLACK) : slack)) return [];
      const name = what === 'fds' ? 'file descriptors' : 'threads';
      return {
        kind: 'violation',
        seen: `${name} grew from ${base[what]} in session ${base.session} to ${last[what]} in session ${last.session}`,
        events: [base.seq, last.seq],
      };
    });
    const seen = `${last.fds} file descriptors and ${last.threads} threads after ${counted(returns, 'return')}, ${base.fds} and ${base.threads} before`;
    return judged(breaks, hold(seen, [base.seq, last.seq]));
  },
};
