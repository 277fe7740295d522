import type { EventOf, SeqRanges, Timeline } from '../timeline/index.js';
import { type Break, counted, hold, judged, notApplicable } from './judgement.js';
import { ringFor } from './packets.js';
import { text } from './ranges.js';
import type { Requirement } from './requirement.js';
import { spansOf } from './ring-spans.js';

type Seen = EventOf<'packets.seen'>;

const each = function* (ranges: Readonly<SeqRanges>): Generator<number> {
  for (const [first, last] of ranges) for (let seq = first; seq <= last; seq++) yield seq;
};

/** Whether the peer that moved these packets had to look for them where they were not (see isStale). */
function movedElsewhere(t: Timeline, { dir, pair, seq }: Seen): boolean {
  return spansOf(t, ringFor(dir, pair)).some((span) => span.stale && span.fromSeq < seq && seq < span.toSeq);
}

/**
 * Packets of one direction and pair that came after one that was sent later. Each counts when it comes for the first time:
 * what a restart repeats is T2's business.
 */
function overtaken(t: Timeline, sent: readonly EventOf<'packets.sent'>[], seen: readonly Seen[]) {
  const rank = new Map<number, number>();
  for (const seq of each(sent.flatMap((e) => e.seqs))) if (!rank.has(seq)) rank.set(seq, rank.size);
  const arrived = new Set<number>();
  const late: { seq: number; event: Seen }[] = [];
  let latest = -1;
  for (const event of seen) {
    if (movedElsewhere(t, event)) continue;
    for (const seq of each(event.seqs)) {
      const at = rank.get(seq);
      if (at === undefined || arrived.has(seq)) continue;
      arrived.add(seq);
      if (at < latest) late.push({ seq, event });
      else latest = at;
    }
  }
  return { arrived: arrived.size, late };
}

export const T3: Requirement = {
  id: 'T3',
  title: 'Packets keep their order',
  sentence: 'Packets of one direction and queue pair arrive in the order in which they were sent.',
  level: 'must',
  label: 'contract',
  sources: ['spec:Ring states', 'qemu:hw/virtio/vhost.c#vhost_virtqueue_start'],
  allowed:
    'A restart may leave packets out or repeat some; a packet that comes for the first time comes after all that were sent before it and arrive at all.',
  judge(t) {
    const lanes = new Map<string, { dir: 'tx' | 'rx'; pair: number }>();
    for (const { dir, pair } of t.all('packets.sent')) lanes.set(`${dir}${pair}`, { dir, pair });
    let arrived = 0;
    const breaks: Break[] = [];
    for (const { dir, pair } of lanes.values()) {
      const here = (e: { dir: 'tx' | 'rx'; pair: number }) => e.dir === dir && e.pair === pair;
      const lane = overtaken(t, t.all('packets.sent').filter(here), t.all('packets.seen').filter(here));
      arrived += lane.arrived;
      if (lane.late.length === 0) continue;
      const seqs = lane.late.map(({ seq }): [number, number] => [seq, seq]);
      breaks.push({
        kind: 'violation',
        seen: `${counted(seqs.length, 'packet')} overtaken by later ones: ${dir.toUpperCase()} of pair ${pair} (${text(seqs)})`,
        events: [...new Set(lane.late.map(({ event }) => event.seq))],
      });
    }
    if (arrived === 0) return notApplicable('no packet arrived');
    return judged(breaks, hold(`${counted(arrived, 'packet')} in the order sent`));
  },
};
