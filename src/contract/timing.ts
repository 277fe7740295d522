import { firstIndex, type Ms, type Timeline } from '../timeline/index.js';

/** A stretch of time. */
export interface Span {
  from: Ms;
  to: Ms;
}

/**
 * A process that a signal kills is dumped first: it answers nothing while its sockets still stand. Then they close, and last
 * its exit is seen. What happens this long before an exit that nobody asked for belongs to the death.
 */
const DEATH_MS = 1000;

/** How long a QEMU that starts up may keep waiting who depends on it; measured 30 ms, 700 ms on a busy machine. */
export const START_MS = 5000;

/**
 * What QEMU is to do within a bound takes its main thread some milliseconds. A thread that spins is always short of a CPU on
 * a busy machine, which must not excuse it for ever: what it ran counts so many times. Not so while the tester itself stood
 * still, as in a machine that was suspended for minutes: an idle QEMU runs 2 ms in a second.
 */
const RAN_COUNTS = 4;

/** How long a wait of QEMU's took, less what the machine took (see Timeline.starved). */
export function spent(t: Timeline, from: Ms, to: Ms): Ms {
  const wait = to - from;
  const ran = Math.min(RAN_COUNTS * t.ran(from, to), wait - t.unwatched(from, to));
  return Math.min(wait, Math.max(0, wait - t.starved(from, to), ran));
}

/** Computes once per timeline: all judges look at the same one. */
export function perTimeline<T>(compute: (t: Timeline) => T): (t: Timeline) => T {
  const known = new WeakMap<Timeline, { value: T }>();
  return (t) => {
    let entry = known.get(t);
    if (!entry) {
      entry = { value: compute(t) };
      known.set(t, entry);
    }
    return entry.value;
  };
}

/** Until when QEMU is expected to behave as a running QEMU: the `quit` command, its death, or the end of the record. */
export const horizon = perTimeline((t: Timeline): { t: Ms; seq: number } => {
  const quit = t.first('qmp.command', (command) => command.execute === 'quit');
  const exit = t.first('qemu.exit');
  const ends = [{ t: t.end, seq: t.events.length }];
  if (quit) ends.push({ t: quit.t, seq: quit.seq });
  if (exit) ends.push({ t: exit.asked === undefined ? exit.t - DEATH_MS : exit.t, seq: exit.seq });
  return ends.reduce((a, b) => (b.t < a.t ? b : a));
});

/** The parts of `span` that no cover overlaps, in order. */
export const uncovered = (span: Span, covers: readonly Span[]): Span[] => outside(span, merged(covers));

/** The same stretches of time without overlaps, in order. */
export function merged(spans: readonly Span[]): Span[] {
  const whole: Span[] = [];
  for (const { from, to } of spans.toSorted((a, b) => a.from - b.from)) {
    const last = whole.at(-1);
    if (last && from <= last.to) last.to = Math.max(last.to, to);
    else whole.push({ from, to });
  }
  return whole;
}

/** When QEMU was short of file descriptors by the tester's doing, in order: Infinity as the end of what was not lifted. */
export const shortages = perTimeline((t: Timeline): readonly Span[] => {
  const limits = t.all('qemu.descriptors');
  return limits.flatMap(({ t: from, spare }, i) =>
    spare === undefined ? [] : [{ from, to: limits[i + 1]?.t ?? Infinity }],
  );
});

/** When the peer listened and accepted nothing (client role), in order; `full`: nobody got into its backlog either. */
export const hangs = perTimeline((t: Timeline): readonly (Span & { full: boolean })[] =>
  t.all('peer.hung').map(({ t: from, seq, full = false }) => {
    const ends = [t.first('peer.accepts', () => true, seq), t.first('peer.unlisten', ({ decoy }) => !decoy, seq)];
    return { from, to: Math.min(...ends.map((end) => end?.t ?? Infinity)), full };
  }),
);

/** The parts of `span` that none of the covers overlaps, which are merged(): found by halving, as they may be many. */
export function outside(span: Span, covers: readonly Span[]): Span[] {
  const first = firstIndex(covers, (cover) => cover.to > span.from);
  const parts: Span[] = [];
  let { from } = span;
  for (let i = first; i < covers.length && covers[i]!.from < span.to; i++) {
    if (covers[i]!.from > from) parts.push({ from, to: covers[i]!.from });
    from = covers[i]!.to;
  }
  if (from < span.to) parts.push({ from, to: span.to });
  return parts;
}

/** Whether one of the spans contains the whole of `from`..`to`. */
export function within(spans: readonly Span[], from: Ms, to: Ms): boolean {
  return spans.some((span) => span.from <= from && span.to >= to);
}
