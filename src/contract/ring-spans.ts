import type { EventOf, Timeline } from '../timeline/index.js';
import { numberIn } from './body.js';
import { driverPeriods, pairsBetween, ringsOf, unseenGuest } from './guest-state.js';
import { isStale, ringStarts } from './ring-starts.js';
import { ringOf, type SessionView, servedSessions } from './sessions.js';
import { perTimeline, type Span } from './timing.js';

/** A stretch in which the peer could move packets on a ring: started and enabled, in an open session. */
export interface RingSpan extends Span {
  session: number;
  ring: number;
  fromSeq: number;
  toSeq: number;
  /** The peer does not look where the driver's buffers are, which is not held against QEMU; see isStale. */
  stale: boolean;
}

type RingEvent = EventOf<'ring.start' | 'ring.stop' | 'ring.enable' | 'session.close'>;

/** All stretches of all rings, in the order in which they begin. */
export const ringSpans = perTimeline((t: Timeline): readonly RingSpan[] => {
  const rings = new Map<
    string,
    { started: boolean; enabled: boolean; stale: boolean; since?: RingEvent; session: number; ring: number }
  >();
  const spans: RingSpan[] = [];
  const stale = new Set(
    ringStarts(t)
      .filter(isStale)
      .map(({ start }) => start.seq),
  );
  const end = (key: string, at: { t: number; seq: number }) => {
    const state = rings.get(key);
    if (!state?.since) return;
    spans.push({
      session: state.session,
      ring: state.ring,
      from: state.since.t,
      fromSeq: state.since.seq,
      to: at.t,
      toSeq: at.seq,
      stale: state.stale,
    });
    delete state.since;
  };
  const apply = (event: EventOf<'ring.start' | 'ring.stop' | 'ring.enable'>) => {
    const key = `${event.session}/${event.ring}`;
    const { session, ring } = event;
    const state = rings.get(key) ?? { started: false, enabled: false, stale: false, session, ring };
    rings.set(key, state);
    if (event.type === 'ring.stop') state.started = false;
    else {
      state.enabled = event.enabled;
      if (event.type === 'ring.start') {
        state.started = true;
        state.stale = stale.has(event.seq);
      }
    }
    if (!state.started || !state.enabled) end(key, event);
    else state.since ??= event;
  };
  for (const event of t.events) {
    if (event.type === 'ring.start' || event.type === 'ring.stop' || event.type === 'ring.enable') apply(event);
    else if (event.type === 'session.close')
      for (const key of rings.keys()) if (key.startsWith(`${event.session}/`)) end(key, event);
  }
  for (const key of rings.keys()) end(key, { t: t.end, seq: t.events.length });
  return spans.sort((a, b) => a.fromSeq - b.fromSeq);
});

/** The stretches of one ring, over all sessions. */
export function spansOf(t: Timeline, ring: number): readonly RingSpan[] {
  return ringSpans(t).filter((span) => span.ring === ring);
}

const NONE: readonly RingSpan[] = [];

/** The stretches by session: a QEMU that flaps has thousands of these. */
const bySession = perTimeline((t: Timeline): ReadonlyMap<number, readonly RingSpan[]> => {
  const map = new Map<number, RingSpan[]>();
  for (const span of ringSpans(t)) map.set(span.session, [...(map.get(span.session) ?? []), span]);
  return map;
});

/** The stretches of all rings of one session, in the order in which they begin. */
export function spansIn(t: Timeline, session: number): readonly RingSpan[] {
  return bySession(t).get(session) ?? NONE;
}

/** The rings of a session that were started and not stopped at event number `seq`. */
export function startedAt(t: Timeline, view: SessionView, seq: number): number[] {
  const rings = new Set<number>();
  for (const type of ['ring.start', 'ring.stop'] as const)
    for (const { ring } of t.of(type, view.session)) rings.add(ring);
  return [...rings].filter((ring) => {
    const here = (e: { session: number; ring: number }) => e.session === view.session && e.ring === ring;
    return (t.last('ring.start', here, seq)?.seq ?? -1) > (t.last('ring.stop', here, seq)?.seq ?? -1);
  });
}

/** The data rings of the queue pairs that the guest uses at event number `seq`. */
function ringsInUse(t: Timeline, ready: EventOf<'driver.ready'>, seq: number): EventOf<'driver.ready'>['rings'] {
  const { least } = pairsBetween(t, ready, seq, seq);
  return ringsOf(ready).filter(({ index }) => index < 2 * least);
}

/**
 * The rings of a guest that the tester does not drive, as far as they are known when a session begins: those that ran to the end
 * of the last session that had any. One that the guest stopped itself, by a message, it may not want again.
 */
export function guestRings(t: Timeline, view: SessionView): number[] {
  const before = servedSessions(t).findLast(
    ({ toSeq, session }) => session !== view.session && toSeq <= view.open.seq && spansIn(t, session).length > 0,
  );
  return before ? lastingRings(t, before) : [];
}

/** The rings that ran until a session ended, and that no message of QEMU's stopped. */
function lastingRings(t: Timeline, before: SessionView): number[] {
  const last = before.received.at(-1);
  // What the last message stopped did not run to the end either.
  const stops =
    last && (last.name === 'GET_VRING_BASE' || (last.name === 'SET_VRING_ENABLE' && !numberIn(last.body, 'num')));
  const stopped = stops ? ringOf(last) : undefined;
  const lasting = spansIn(t, before.session).filter(
    ({ toSeq, ring }) => toSeq >= (last ?? before.open).seq && ring !== stopped,
  );
  return [...new Set(lasting.map(({ ring }) => ring))].sort((a, b) => a - b);
}

/** A part of a session, by numbers of events: its end is not in it. */
export interface Part {
  fromSeq: number;
  toSeq: number;
}

/** From each start of rings in a session, none having run before it, to the next one, or the end of the session. */
export function ringRuns(t: Timeline, view: SessionView): Part[] {
  const running = new Set<number>();
  const starts: number[] = [];
  const events = [...t.of('ring.start', view.session), ...t.of('ring.stop', view.session)];
  for (const { type, ring, seq } of events.sort((a, b) => a.seq - b.seq)) {
    if (type === 'ring.stop') running.delete(ring);
    else {
      if (running.size === 0) starts.push(seq);
      running.add(ring);
    }
  }
  return starts.map((fromSeq, i) => ({ fromSeq, toSeq: starts[i + 1] ?? view.toSeq }));
}

/**
 * When all rings of a driver that is up ran in this session for the first time, or in a part of it; undefined when they never
 * did.
 */
export function allRunning(
  t: Timeline,
  view: SessionView,
  { fromSeq: partFrom, toSeq: partTo }: Part = { fromSeq: view.open.seq, toSeq: view.toSeq },
): { t: number; seq: number } | undefined {
  const spans = spansIn(t, view.session).filter((span) => span.fromSeq >= partFrom && span.fromSeq < partTo);
  if (unseenGuest(t)) {
    const firsts = guestRings(t, view).map((ring) => spans.find((span) => span.ring === ring));
    return firsts.some((span) => span === undefined) ? undefined : latest(firsts as RingSpan[]);
  }
  for (const { ready, fromSeq, toSeq } of driverPeriods(t)) {
    if (!ready || fromSeq > partTo || toSeq < partFrom) continue;
    const firsts = ringsInUse(t, ready, partTo).map(({ index }) =>
      spans.find((span) => span.ring === index && span.toSeq > fromSeq),
    );
    if (firsts.length === 0 || firsts.some((span) => span === undefined)) continue;
    return latest(firsts as RingSpan[]);
  }
  return undefined;
}

function latest(spans: readonly RingSpan[]): { t: number; seq: number } | undefined {
  const last = spans.toSorted((a, b) => a.fromSeq - b.fromSeq).at(-1);
  return last && { t: last.from, seq: last.fromSeq };
}

/** Whether all rings of the driver ran until the session ended: they stopped with it, not by a message. */
export function ranToTheEnd(t: Timeline, view: SessionView): boolean {
  if (unseenGuest(t)) return lastingRings(t, view).length > 0;
  const period = driverPeriods(t).findLast(({ ready }) => ready !== undefined && ready.seq < view.toSeq);
  if (!period?.ready || period.toSeq < view.toSeq) return false;
  const last = view.received.at(-1);
  if (!last || last.name === 'GET_VRING_BASE') return false;
  const spans = spansIn(t, view.session).filter((span) => span.toSeq > last.seq);
  const wanted = ringsInUse(t, period.ready, view.toSeq);
  return wanted.length > 0 && wanted.every(({ index }) => spans.some((span) => span.ring === index));
}
