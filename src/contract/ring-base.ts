import { PACKED_FRESH_BASE, packedBaseText } from '../virtio/index.js';
import { type Break, counted, hold, judged, notApplicable } from './judgement.js';
import type { Requirement } from './requirement.js';
import { isFrom, isStale, type RingStart, ringStarts } from './ring-starts.js';

/** Indices of split rings wrap at 16 bits. */
const INDEX_MASK = 0xffff;

/** What is wrong with the base that a ring was started at; undefined when nothing is. */
type Fault = { expected: string } | undefined;

/**
 * Where a split ring has to go on.
 * After a reset, for the driver that negotiated anew: at 0, unless QEMU itself used the ring meanwhile. After an orderly stop: where the peer
 * said, or at the used index, which QEMU advances by itself while the ring is stopped, and which is all it has when the
 * answer got lost with the connection. After a loss: at the used index (vhost_virtqueue_stop, restore_last_avail_idx).
 */
function splitFault({ start, previous, answer, unseen }: RingStart): Fault {
  const used = start.usedIdx;
  const fresh = previous === undefined;
  const values = fresh ? [unseen > 0 ? used : 0] : [answer, used];
  const known = values.filter((value) => value !== undefined);
  if (known.length === 0 || known.some((value) => ((value ^ start.base) & INDEX_MASK) === 0)) return undefined;
  const why = fresh
    ? unseen > 0
      ? 'the used index'
      : 'a fresh ring'
    : answer === undefined
      ? 'the used index'
      : 'what GET_VRING_BASE returned or the used index';
  return { expected: `${[...new Set(known)].join(' or ')} (${why})` };
}

/**
 * Where a packed ring has to go on: there is no index in its memory. After a reset at 0 with both wrap counters set; after an
 * orderly stop at what the peer said, to the last bit; after a loss where it stopped, or at the last base that QEMU knows.
 * In each case further where QEMU may have used the ring itself.
 */
function packedFault(ring: RingStart): Fault {
  const { start, previous, answer, stopped, unseen } = ring;
  const known = answer ?? previous?.base ?? PACKED_FRESH_BASE;
  if (unseen === 0 ? start.base === known : isFrom(ring, known)) return undefined;
  const lost = previous !== undefined && answer === undefined;
  if (lost && stopped !== undefined && isFrom(ring, stopped)) return undefined;
  const why =
    previous === undefined ? 'a fresh ring' : lost ? 'where it started before' : 'what GET_VRING_BASE returned';
  return { expected: `${baseText('packed', known)} (${why}${lost ? ', or where it stopped' : ''})` };
}

const baseText = (layout: 'packed' | undefined, base: number): string =>
  layout === 'packed' ? packedBaseText(base) : String(base);

export const R24: Requirement = {
  id: 'R24',
  title: 'Rings go on where they stopped',
  sentence:
    'A ring is restarted at the index that GET_VRING_BASE returned, or at the used index when the peer was lost, and at 0 after a reset of the device.',
  level: 'must',
  label: 'regression',
  sources: [
    'spec:Ring states',
    'qemu:hw/virtio/vhost.c#vhost_virtqueue_stop',
    'qemu:hw/virtio/virtio.c#virtio_queue_packed_get_last_avail_idx',
    'defect:vring-base-not-from-used-idx',
  ],
  allowed:
    'A packed ring has no used index: it starts at 0 with its wrap counters set, and after a loss also where it had started before, which is all that QEMU knows (defect:packed-ring-base-stale, see R38). Further where QEMU used TX packets itself.',
  judge(t) {
    const rings = ringStarts(t);
    const last = rings.at(-1);
    if (!last) return notApplicable('no ring was started');
    const breaks: Break[] = rings.flatMap((ring) => {
      const { session, ring: index, layout, base, seq } = ring.start;
      const fault = layout === 'packed' ? packedFault(ring) : splitFault(ring);
      if (!fault) return [];
      const seen = `session ${session}: ring ${index} starts at ${baseText(layout, base)}, expected ${fault.expected}`;
      return { kind: 'violation', seen, events: [seq] };
    });
    const again = rings.filter(({ previous }) => previous).length;
    const stale = rings.filter(isStale).length;
    return judged(
      breaks,
      hold(
        `${counted(rings.length, 'start')} of rings at the right index, ${again} of them restarts${stale > 0 ? `; ${stale} packed after a loss where they had started before` : ''}`,
        [last.start.seq],
      ),
    );
  },
};

export const R38: Requirement = {
  id: 'R38',
  title: 'Packed rings go on where they stopped after a loss, too',
  sentence: 'A packed ring whose peer was lost is restarted where that peer had got to.',
  level: 'info',
  label: 'contract',
  sources: [
    'qemu:hw/virtio/virtio.c#virtio_queue_packed_restore_last_avail_idx',
    'spec:Inflight I/O tracking',
    'defect:packed-ring-base-stale',
  ],
  allowed:
    'QEMU is known not to: without inflight tracking it has nothing to find the place by. Where nothing moved before the loss the place is right; elsewhere the ring is dead until the guest resets its device.',
  judge(t) {
    const rings = ringStarts(t).filter(
      ({ start, previous, answer }) => start.layout === 'packed' && previous !== undefined && answer === undefined,
    );
    if (rings.length === 0) return notApplicable('no packed ring was restarted after a loss');
    const breaks = rings.filter(isStale).map(({ start, stopped }): Break => {
      const { session, ring, base, available, seq } = start;
      const at = `starts at ${packedBaseText(base)} and had stopped at ${packedBaseText(stopped!)}`;
      const what = available ? '' : ', where nothing is available';
      return { kind: 'violation', seen: `session ${session}: ring ${ring} ${at}${what}`, events: [seq] };
    });
    const last = rings.at(-1)!.start.seq;
    return judged(
      breaks,
      hold(`${counted(rings.length, 'packed ring')} restarted where the lost peer had got to`, [last]),
    );
  },
};
