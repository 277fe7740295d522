import type { EventOf, Timeline } from '../timeline/index.js';
import { periodAt } from './guest-state.js';
import { type Break, counted, hold, judged, ms, notApplicable } from './judgement.js';
import { type Fate, FLOW_MS, ledger, ringFor } from './packets.js';
import { count, text } from './ranges.js';
import type { Requirement } from './requirement.js';
import { spansOf } from './ring-spans.js';
import { startedBefore } from './ring-starts.js';
import { losses, servedSessions } from './sessions.js';
import { horizon, spent } from './timing.js';

/** Whether packets of a direction and pair were looked for elsewhere than where they were (see isStale). */
function lookedElsewhere(t: Timeline, { dir, pair }: { dir: 'tx' | 'rx'; pair: number }, end: EventOf<'traffic.end'>) {
  return spansOf(t, ringFor(dir, pair)).some((span) => span.stale && span.fromSeq < end.seq && span.toSeq >= end.seq);
}

/** How long a burst that stalled could have flowed: since all its rings ran, until its deadline; 0 when one did not. */
function chance(t: Timeline, begin: EventOf<'traffic.begin'>, end: EventOf<'traffic.end'>): number {
  let from = begin.t;
  for (let pair = 0; pair < begin.pairs; pair++) {
    for (const dir of ['tx', 'rx'] as const) {
      const span = spansOf(t, ringFor(dir, pair)).find((s) => s.from < end.t && s.to >= end.t);
      if (!span) return 0;
      from = Math.max(from, span.from);
    }
  }
  return spent(t, from, end.t);
}

export const T1: Requirement = {
  id: 'T1',
  title: 'Traffic flows',
  sentence:
    'Packets flow in both directions on every queue pair while the rings run, before any loss and after every return.',
  level: 'must',
  label: 'contract',
  sources: ['qemu:hw/net/vhost_net.c#vhost_net_start', 'defect:vring-base-not-from-used-idx'],
  allowed: `Every awaited burst arrives completely; a stall counts when all rings ran for ${FLOW_MS} ms of it. Not on a packed ring that was restarted after a loss where it had started before (defect:packed-ring-base-stale, see R38).`,
  judge(t) {
    const firstLoss = losses(t)[0]?.close.seq ?? Infinity;
    const breaks: Break[] = [];
    const flowed: EventOf<'traffic.end'>[] = [];
    let excused = 0;
    for (const begin of t.all('traffic.begin')) {
      const end = t.first('traffic.end', (e) => e.burst === begin.burst, begin.seq);
      if (begin.inFlight || !end || end.t > horizon(t).t) continue;
      if (end.outcome === 'flowed') flowed.push(end);
      const stalled = end.outcome === 'stalled' ? chance(t, begin, end) : 0;
      // A driver that gave its rings up moves nothing: T2 has it.
      if (stalled <= FLOW_MS || (periodAt(t, end.seq).broken?.seq ?? Infinity) < end.seq) continue;
      const counting = end.missing.filter((lane) => !lookedElsewhere(t, lane, end));
      if (counting.length === 0) {
        excused++;
        continue;
      }
      const missing = counting.map(({ dir, pair, seqs }) => `${count(seqs)} ${dir.toUpperCase()} of pair ${pair}`);
      breaks.push({
        kind: 'violation',
        seen: `burst ${begin.burst} stalled for ${ms(stalled)} on running rings: ${missing.join(', ')} missing`,
        events: [begin.seq, end.seq],
      });
    }
    const also = excused > 0 ? `; ${counted(excused, 'burst')} stalled on packed rings at a stale base` : '';
    if (breaks.length === 0 && flowed.length === 0) return notApplicable(`no burst could flow to its end${also}`);
    const after = flowed.filter((end) => end.seq > firstLoss).length;
    return judged(
      breaks,
      hold(
        `${counted(flowed.length, 'burst')} flowed both ways on every pair, ${after} of them after a loss${also}`,
        flowed.map((end) => end.seq),
      ),
    );
  },
};

const name = ({ dir, pair, seqs }: Fate): string => `${dir.toUpperCase()} of pair ${pair} (${text(seqs)})`;

type Broken = EventOf<'driver.broken'>;

/**
 * Whether a packed ring was with a peer that got lost elsewhere than where it had started: QEMU does not know where it is (see
 * isStale), and what it or the next peer takes there may be anything.
 */
function astray(t: Timeline, ring: number, since: number, until: number): boolean {
  const starts = t.all('ring.start').filter((e) => e.ring === ring && e.seq > since && e.seq < until);
  return [...starts.map(({ seq }) => seq), until].some((seq) => {
    const { previous, answer } = startedBefore(t, ring, seq);
    if (previous?.layout !== 'packed' || answer !== undefined) return false;
    const stop = t.last('ring.stop', (e) => e.ring === ring && e.seq > previous.seq, seq);
    return stop !== undefined && stop.base !== previous.base;
  });
}

/** Whether a peer may have told QEMU a wrong place of a ring: by its answer, or by bytes in place of one. */
const misled = (t: Timeline, since: number, until: number): boolean =>
  servedSessions(t).some(({ faults }) =>
    faults.some(
      ({ seq, spoils, message }) =>
        seq > since && seq < until && (spoils === 'stream' || (spoils === 'answer' && message === 'GET_VRING_BASE')),
    ),
  );

/** Rings of which the device handed back what it did not have, unless it could not know where they were. */
function broken(t: Timeline): Broken[] {
  return t.all('driver.broken').filter(({ rule, ring, seq }) => {
    if (rule !== 'ring' || ring === undefined) return false;
    const { since } = startedBefore(t, ring, seq);
    return !misled(t, since, seq) && !astray(t, ring, since, seq);
  });
}

export const T2: Requirement = {
  id: 'T2',
  title: 'No packet is lost, duplicated or corrupted',
  sentence:
    'Every packet on a ring arrives once and intact, and the guest gets back what it put on its rings, each once.',
  level: 'must',
  label: 'contract',
  sources: [
    'spec:Ring states',
    'qemu:hw/virtio/vhost.c#vhost_virtqueue_stop',
    'qemu:hw/virtio/virtio.c#virtio_queue_update_used_idx',
  ],
  allowed: `TX packets that QEMU used itself while no peer ran the ring, packets still in flight at the end or wiped by a reset, and a TX packet seen by two sessions in a row are accounted for. Lost is what was used on a running ring unseen, or waited ${FLOW_MS} ms on one. After the driver gave its rings up nothing is counted; that they broke is not when a peer answered GET_VRING_BASE wrong on purpose, nor on a packed ring that was lost on its way (defect:packed-ring-base-stale, see R38).`,
  judge(t) {
    const book = ledger(t);
    const rings = broken(t).map(
      ({ ring, what, seq }): Break => ({
        kind: 'violation',
        seen: `the device broke ring ${ring} of the guest: ${what}`,
        events: [seq],
      }),
    );
    if (rings.length === 0 && book.sent === 0 && book.arrived === 0 && book.corrupted.length === 0)
      return notApplicable('no packet was sent');
    const tell = (fates: readonly Fate[], what: (fate: Fate) => string): Break[] =>
      fates.map((fate) => ({ kind: 'violation', seen: what(fate), events: fate.events }));
    const breaks = [
      ...rings,
      ...book.corrupted.map(
        ({ dir, pair, packets, events }): Break => ({
          kind: 'violation',
          seen: `${counted(packets, 'corrupt packet')}: ${dir.toUpperCase()} of pair ${pair}`,
          events,
        }),
      ),
      ...tell(book.duplicated, (fate) => `${counted(count(fate.seqs), 'packet')} seen twice: ${name(fate)}`),
      ...tell(book.lost, (fate) => `${counted(count(fate.seqs), 'packet')} lost: ${name(fate)}`),
    ];
    const byQemu = book.byQemu.reduce((sum, fate) => sum + count(fate.seqs), 0);
    const also = [
      byQemu > 0 ? `, ${byQemu} used by QEMU while no peer ran the ring` : '',
      book.open > 0 ? `, ${book.open} in flight at the end` : '',
    ];
    return judged(
      breaks,
      hold(`${book.arrived} of ${counted(book.sent, 'packet')} arrived once and intact${also.join('')}`),
    );
  },
};
