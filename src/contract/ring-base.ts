import type { EventOf, Timeline } from '../timeline/index.js';
import { bit, VIRTIO_F_RING_PACKED } from '../wire/index.js';
import { numberIn } from './body.js';
import { acceptedIn, driverPeriods } from './guest-state.js';
import { type Break, counted, hold, judged, notApplicable } from './judgement.js';
import type { Requirement } from './requirement.js';
import { ringOf } from './sessions.js';

/** Indices of split rings wrap at 16 bits. */
const INDEX_MASK = 0xffff;

interface Expectation {
  values: number[];
  why: string;
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

/**
 * Where a ring has to go on.
 * After a reset, for the driver that negotiated anew: at 0, unless QEMU itself used the ring meanwhile. After an orderly stop: where the peer
 * said, or at the used index, which QEMU advances by itself while the ring is stopped, and which is all it has when the
 * answer got lost with the connection. After a loss: at the used index (vhost_virtqueue_stop, restore_last_avail_idx).
 */
function expected(t: Timeline, start: EventOf<'ring.start'>): Expectation {
  // A start that is recorded between a reset and FEATURES_OK was sent before the reset.
  const since = t.last('driver.features', () => true, start.seq)?.seq ?? -1;
  const previous = t.last('ring.start', (e) => e.ring === start.ring && e.seq > since, start.seq);
  const used = start.usedIdx;
  if (!previous) {
    const touched = t.first('packets.completed', (e) => 2 * e.pair + 1 === start.ring && e.seq < start.seq, since);
    return touched && used !== undefined
      ? { values: [used], why: 'the used index' }
      : { values: [0], why: 'a fresh ring' };
  }
  const answer = reported(t, start.ring, previous.seq, start.seq);
  const values = [answer, used].filter((value) => value !== undefined);
  return { values, why: answer === undefined ? 'the used index' : 'what GET_VRING_BASE returned or the used index' };
}

export const R24: Requirement = {
  id: 'R24',
  title: 'Rings go on where they stopped',
  sentence:
    'A ring is restarted at the index that GET_VRING_BASE returned, or at the used index when the peer was lost, and at 0 after a reset of the device.',
  level: 'must',
  label: 'regression',
  sources: ['spec:Ring states', 'qemu:hw/virtio/vhost.c#vhost_virtqueue_stop', 'defect:vring-base-not-from-used-idx'],
  allowed: 'Split rings only: for packed rings QEMU has no recovery (defect:packed-ring-base-stale).',
  judge(t) {
    const packed = driverPeriods(t).some((p) => ((acceptedIn(p) ?? 0n) & bit(VIRTIO_F_RING_PACKED)) !== 0n);
    if (packed) return notApplicable('the driver uses packed rings');
    const starts = t.all('ring.start');
    if (starts.length === 0) return notApplicable('no ring was started');
    let again = 0;
    const breaks: Break[] = starts.flatMap((start) => {
      const { values, why } = expected(t, start);
      if (why !== 'a fresh ring') again++;
      if (values.length === 0 || values.some((value) => ((value ^ start.base) & INDEX_MASK) === 0)) return [];
      const seen = `session ${start.session}: ring ${start.ring} starts at ${start.base}, expected ${[...new Set(values)].join(' or ')} (${why})`;
      return { kind: 'violation', seen, events: [start.seq] };
    });
    return judged(
      breaks,
      hold(`${counted(starts.length, 'start')} of rings at the right index, ${again} of them restarts`, [
        starts.at(-1)!.seq,
      ]),
    );
  },
};
