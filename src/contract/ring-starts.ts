import type { EventOf, Timeline } from '../timeline/index.js';
import { advance, fromHalf } from '../virtio/index.js';
import { numberIn } from './body.js';
import { count, normalize, subtract } from './ranges.js';
import { ringOf } from './sessions.js';
import { perTimeline } from './timing.js';

/** Slots of a packed ring that one packet takes at most: header and frame apart, chained. */
const SLOTS_A_PACKET = 2;

/** The start of a ring, and what QEMU could know of where it has to go on. */
export interface RingStart {
  start: EventOf<'ring.start'>;
  /** The start before it in the same life of the device; absent for a fresh ring. */
  previous?: EventOf<'ring.start'>;
  /** The answer to GET_VRING_BASE since; absent after a loss. */
  answer?: number;
  /** Where the peer was when it stopped the ring, as it tells it. */
  stopped?: number;
  /** TX packets that were on the ring by now and that no peer ever saw: QEMU may have used them. */
  unseen: number;
}

/** All starts of rings, in order. */
export const ringStarts = perTimeline((t: Timeline): readonly RingStart[] =>
  t.all('ring.start').map((start) => {
    const { since, previous, answer } = startedBefore(t, start.ring, start.seq);
    const unseen = unseenTx(t, start, since);
    if (!previous) return { start, unseen };
    const stopped = t.last('ring.stop', (e) => e.ring === start.ring && e.seq > previous.seq, start.seq)?.base;
    return {
      start,
      previous,
      ...(answer === undefined ? {} : { answer }),
      ...(stopped === undefined ? {} : { stopped }),
      unseen,
    };
  }),
);

/**
 * What there was of a ring before an event: since when the device has the life that it is in, the last start in it, and the
 * answer to GET_VRING_BASE since that; absent after a loss.
 */
export function startedBefore(
  t: Timeline,
  ring: number,
  seq: number,
): { since: number; previous?: EventOf<'ring.start'>; answer?: number } {
  // A start that is recorded between a reset and FEATURES_OK was sent before the reset.
  const since = t.last('driver.features', () => true, seq)?.seq ?? -1;
  const previous = t.last('ring.start', (e) => e.ring === ring && e.seq > since, seq);
  if (!previous) return { since };
  const answer = reported(t, ring, previous.seq, seq);
  return { since, previous, ...(answer === undefined ? {} : { answer }) };
}

/** The answer to the last GET_VRING_BASE of a ring between two events. */
function reported(t: Timeline, ring: number, afterSeq: number, beforeSeq: number): number | undefined {
  const reply = t.last(
    'wire.send',
    (e) => e.channel === 'reply' && e.name === 'GET_VRING_BASE' && ringOf(e) === ring && e.seq > afterSeq,
    beforeSeq,
  );
  return reply && numberIn(reply.body, 'num');
}

function unseenTx(t: Timeline, { ring, seq }: EventOf<'ring.start'>, since: number): number {
  if (ring % 2 === 0) return 0;
  const here = (e: { dir: 'tx' | 'rx'; pair: number }) => e.dir === 'tx' && 2 * e.pair + 1 === ring;
  const sent = t.all('packets.sent').filter((e) => here(e) && e.seq > since && e.seq < seq);
  const seen = t.all('packets.seen').filter(here);
  return count(
    subtract(
      normalize(sent.flatMap((e) => e.seqs)),
      seen.flatMap((e) => e.seqs),
    ),
  );
}

/**
 * Whether a packed ring's base names the place of another base, or one as far behind it as QEMU could get with the packets
 * that no peer saw. The available halves are compared: they are what a back-end goes by.
 */
export function isFrom({ start, unseen }: RingStart, base: number): boolean {
  const { size } = start;
  const [from, at] = [fromHalf(base & 0xffff, size), fromHalf(start.base & 0xffff, size)];
  if (from === undefined || at === undefined) return false;
  return Array.from({ length: 1 + SLOTS_A_PACKET * unseen }, (_, i) => advance(from, i, size)).includes(at);
}

/**
 * Whether a packed ring was started elsewhere than where it had stopped, after a loss: QEMU has no way to find out
 * (virtio_queue_packed_restore_last_avail_idx), and what is on the ring waits for a reset of the device.
 */
export function isStale(ring: RingStart): boolean {
  const { start, previous, answer, stopped } = ring;
  if (start.layout !== 'packed' || !previous || answer !== undefined || stopped === undefined) return false;
  return !isFrom(ring, stopped);
}
