import type { EventOf, Timeline } from '../timeline/index.js';
import { type Break, counted, hold, judged, notApplicable } from './judgement.js';
import { migrations } from './migrations.js';
import type { Requirement } from './requirement.js';
import { startedBefore } from './ring-starts.js';

/** Of what GET_VRING_BASE returns: a split ring's index, and a packed one's without its wrap counter (virtio_save). */
const INDEX = { split: 0xffff, packed: 0x7fff } as const;

/** Rings that the stream has elsewhere than they are. */
function misplaced(t: Timeline, { migration, rings, seq }: EventOf<'migration.rings'>): Break[] {
  const mask = INDEX[t.last('driver.ready', () => true, seq)?.layout ?? 'split'];
  return rings.flatMap(({ index, next, used }): Break[] => {
    const { previous, answer } = startedBefore(t, index, seq);
    const places = [
      ...(answer === undefined ? [] : [{ at: answer & mask, what: 'what GET_VRING_BASE returned' }]),
      ...(used === undefined ? [] : [{ at: used, what: 'the used index' }]),
    ];
    if (places.length === 0 || places.some(({ at }) => at === next)) return [];
    const expected = [...new Set(places.map(({ at }) => at))].join(' or ');
    const why = places.map(({ what }) => what).join(' or ');
    const seen = `migration ${migration}: the stream has ring ${index} at ${next}, expected ${expected} (${why})`;
    return [{ kind: 'violation', seen, events: [...(previous ? [previous.seq] : []), seq] }];
  });
}

export const R52: Requirement = {
  id: 'R52',
  title: 'A migration takes along where the rings are',
  sentence:
    'The stream of a completed migration has each ring of the guest at the index that the back-end gave when it was stopped, or, of a lost back-end, at the used index.',
  level: 'must',
  label: 'spec',
  sources: ['spec:Migration', 'qemu:hw/virtio/virtio.c#virtio_save', 'qemu:hw/virtio/vhost.c#vhost_virtqueue_stop'],
  allowed:
    'Further where QEMU used TX packets itself, as far as the used index. Of a packed ring whose back-end was lost nobody knows.',
  judge(t) {
    const told = migrations(t).flatMap(({ rings }) => rings ?? []);
    if (told.length === 0) return notApplicable('no migration of a running driver completed');
    const count = told.reduce((sum, { rings }) => sum + rings.length, 0);
    return judged(
      told.flatMap((one) => misplaced(t, one)),
      hold(
        `${counted(count, 'ring')} migrated where they were`,
        told.map(({ seq }) => seq),
      ),
    );
  },
};
