import type { EventOf, Ms, SeqRanges, Timeline } from '../timeline/index.js';
import { driverPeriods } from './guest-state.js';
import { count, intersect, normalize, repeated, subtract } from './ranges.js';
import { type RingSpan, spansOf } from './ring-spans.js';
import { horizon, perTimeline, type Span, spent, within } from './timing.js';

/** On a ring that runs, a packet arrives within this time; measured well under 10 ms for a burst. */
export const FLOW_MS = 1000;

/** Packets of one direction and pair that share a fate. */
export interface Fate {
  dir: 'tx' | 'rx';
  pair: number;
  seqs: SeqRanges;
  /** From when they were put on the ring to when their fate was sealed. */
  span: Span;
  events: number[];
}

/**
 * What became of the packets of a run. Accounted for, and not lost:
 * - `byQemu`: TX packets that QEMU itself used while the ring did not run (a NIC whose link is down drops what it is given).
 * - `open`: packets that no ring ran long enough to carry: still in flight when QEMU quit or died, when the session ended
 *   and the rings were never restarted, when a reset of the driver wiped the ring, or when the driver gave its rings up. Of a burst that is not awaited the
 *   peer leaves packets on the ring on purpose, so the session in which they were sent does not count for them. Nor does
 *   a packed ring that was started elsewhere than where its packets are (see isStale).
 */
export interface Ledger {
  sent: number;
  arrived: number;
  byQemu: Fate[];
  open: number;
  /** Used on a running ring and never seen, or never used although a ring ran. */
  lost: Fate[];
  /** Seen more often than sent, by one session (TX) or by the guest (RX). */
  duplicated: Fate[];
  /** Packets that arrived with other content than was sent; they are counted as they have no number. */
  corrupted: { dir: 'tx' | 'rx'; pair: number; packets: number; events: number[] }[];
}

type Sent = EventOf<'packets.sent'>;
type Seen = EventOf<'packets.seen'>;

/** The ring of a direction and pair (Virtio 1.2, 5.1.2). */
export const ringFor = (dir: 'tx' | 'rx', pair: number): number => 2 * pair + (dir === 'tx' ? 1 : 0);

/** Adds up a run's packets. */
export const ledger = perTimeline((t: Timeline): Ledger => {
  const book: Ledger = { sent: 0, arrived: 0, byQemu: [], open: 0, lost: [], duplicated: [], corrupted: [] };
  const lanes = new Map<string, { dir: 'tx' | 'rx'; pair: number }>();
  for (const { dir, pair } of [...t.all('packets.sent'), ...t.all('packets.seen')])
    lanes.set(`${dir}${pair}`, { dir, pair });
  for (const { dir, pair } of lanes.values()) {
    const here = (e: Sent | Seen) => e.dir === dir && e.pair === pair;
    enter(t, book, dir, pair, t.all('packets.sent').filter(here), t.all('packets.seen').filter(here));
  }
  return book;
});

function enter(
  t: Timeline,
  book: Ledger,
  dir: 'tx' | 'rx',
  pair: number,
  sent: readonly Sent[],
  seen: readonly Seen[],
) {
  const arrived = normalize(seen.flatMap((e) => e.seqs));
  const all = sent.flatMap((e) => e.seqs);
  book.sent += count(normalize(all));
  book.arrived += count(intersect(all, arrived));
  const bad = seen.filter((e) => e.corrupt > 0);
  const packets = bad.reduce((sum, e) => sum + e.corrupt, 0);
  if (packets > 0) book.corrupted.push({ dir, pair, packets, events: bad.map((e) => e.seq) });
  book.duplicated.push(...duplicates(dir, pair, all, seen));
  const spans = spansOf(t, ringFor(dir, pair)).filter((span) => !span.stale);
  for (const e of sent) {
    let missing = subtract(e.seqs, arrived);
    for (const used of dir === 'tx' ? t.all('packets.completed') : []) {
      if (used.pair !== pair || used.seq < e.seq) continue;
      const part = intersect(missing, used.seqs);
      if (part.length === 0) continue;
      missing = subtract(missing, part);
      const fate: Fate = { dir, pair, seqs: part, span: { from: e.t, to: used.t }, events: [e.seq, used.seq] };
      (within(spans, e.t, used.t) ? book.lost : book.byQemu).push(fate);
    }
    if (missing.length === 0) continue;
    const carried = carrier(t, e, spans);
    if (carried)
      book.lost.push({
        dir,
        pair,
        seqs: missing,
        span: { from: e.t, to: carried.to },
        events: [e.seq, carried.fromSeq],
      });
    else book.open += count(missing);
  }
}

/** Seen twice by the same session (the guest's eyes count as one), unless also sent twice. */
function duplicates(dir: 'tx' | 'rx', pair: number, sent: SeqRanges, seen: readonly Seen[]): Fate[] {
  const resent = repeated(sent);
  const eyes = (e: Seen) => (dir === 'tx' ? e.session : undefined);
  return [...new Set(seen.map(eyes))].flatMap((who) => {
    const mine = seen.filter((e) => eyes(e) === who);
    const seqs = subtract(repeated(mine.flatMap((e) => e.seqs)), resent);
    if (seqs.length === 0) return [];
    const events = mine.filter((e) => intersect(e.seqs, seqs).length > 0).map((e) => e.seq);
    return [{ dir, pair, seqs, span: { from: mine[0]!.t, to: mine.at(-1)!.t }, events }];
  });
}

/** A stretch of the running ring that was long enough to carry what an event put on it. */
function carrier(t: Timeline, sent: Sent, spans: readonly RingSpan[]): RingSpan | undefined {
  const period = driverPeriods(t).find(({ fromSeq, toSeq }) => sent.seq > fromSeq && sent.seq < toSeq);
  const end = Math.min(period?.to ?? Infinity, period?.broken?.t ?? Infinity, horizon(t).t);
  const held = t.last('traffic.begin', () => true, sent.seq)?.inFlight === true;
  return spans.find((span) => {
    if (held && span.from <= sent.t && sent.t <= span.to) return false;
    const from: Ms = Math.max(span.from, sent.t);
    return spent(t, from, Math.max(from, Math.min(span.to, end))) > FLOW_MS;
  });
}
