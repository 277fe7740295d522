import type { EventOf, Timeline } from '../timeline/index.js';
import { contextOf } from './body.js';
import { broken, hold, notApplicable } from './judgement.js';
import type { Requirement } from './requirement.js';
import { sessionViews } from './sessions.js';
import { horizon } from './timing.js';

/** The looks are cut into so many parts. What a heap does in the first is settling: caches fill, free lists form. */
const PARTS = 5;

/** With fewer looks in a part, what a heap does to settle is not over with the first. */
const LOOKS = 8;

/**
 * A part counts as grown from so many bytes more than the one before: the heaps of QEMU 5.2 to 11.1 showed at most 8 KiB from
 * part to part, that of another program 48, 32 and 20 KiB while it settled. malloc takes 132 KiB at a time and gives them back when it likes, which is one step, or two: a leak
 * grows from part to part to part.
 */
const GROWN = 32 << 10;

/** A heap that grows by less than this part of its first growth in the end is settling; a leak takes the same each time. */
const STEADY = 0.5;

/** A dialling QEMU found nobody so many times in one absence, ... */
const DIALS = 20;
/** ... and has so much more after it: two steps of malloc and more. 4 to 12 KiB were seen after forty dials that failed. */
const ABSENCE_GROWN = 512 << 10;

/** More virtual memory than any QEMU has by itself: the shadow of a sanitizer, which keeps what was freed for a while. */
const SHADOW = 2 ** 40;

type Look = EventOf<'proc.sample'> & { anonymous: number };

const looksAtRest = (t: Timeline): Look[] =>
  t.all('proc.sample').filter((look): look is Look => look.anonymous !== undefined);

/** The looks at rest with a session open, or without one: whichever there are more of. */
function alike(t: Timeline): Look[] {
  const end = horizon(t).seq;
  const looks = looksAtRest(t).filter(({ seq }) => seq < end);
  const spans = sessionViews(t).map(({ open, toSeq }) => ({ from: open.seq, to: toSeq }));
  let next = 0;
  let until = -1;
  const [connected, alone]: [Look[], Look[]] = [[], []];
  for (const look of looks) {
    for (; next < spans.length && spans[next]!.from < look.seq; next++) until = Math.max(until, spans[next]!.to);
    (look.seq < until ? connected : alone).push(look);
  }
  return connected.length >= alone.length ? connected : alone;
}

/** Absences in which a dialling QEMU found nobody, and nothing else went on, with the last look before and the first after. */
function vainDials(t: Timeline): { before: Look; after: Look; dials: number }[] {
  const every = contextOf(t)?.reconnectMs ?? 0;
  if (every === 0) return [];
  const looks = looksAtRest(t);
  const views = sessionViews(t);
  return views.slice(1).flatMap((view, i) => {
    const { to, toSeq } = views[i]!;
    const before = looks.findLast(({ seq }) => seq < toSeq);
    const after = looks.find(({ seq }) => seq > view.open.seq && seq < view.toSeq);
    const dials = Math.floor((view.open.t - to) / every);
    if (!before || !after || dials < DIALS || before.seq < views[i]!.open.seq) return [];
    const busy = (['qmp.command', 'driver.reset'] as const).some((type) =>
      t.first(type, ({ seq }) => seq < after.seq, before.seq),
    );
    return busy ? [] : [{ before, after, dials }];
  });
}

const median = (numbers: readonly number[]): number => numbers.toSorted((a, b) => a - b)[numbers.length >> 1]!;

const kib = (bytes: number): string => `${Math.round(bytes / 1024)} KiB`;

export const R40: Requirement = {
  id: 'R40',
  title: 'Memory does not grow from return to return',
  sentence: 'What QEMU has of memory settles: neither losses and returns nor dials that fail make it grow on and on.',
  level: 'must',
  label: 'regression',
  sources: ['qemu:net/vhost-user.c#vhost_user_stop', 'qemu:hw/virtio/vhost.c#vhost_dev_cleanup'],
  allowed: `Of ${PARTS} parts of the run after the first, not each has ${kib(GROWN)} more than the one before, or the last growth is under ${STEADY} of the first (median of its own resident memory, at rest); no more than ${kib(ABSENCE_GROWN)} after an absence of ${DIALS} dials.`,
  judge(t) {
    const looks = alike(t);
    if (looks.some(({ peak }) => peak !== undefined && peak > SHADOW))
      return notApplicable('QEMU was built with a sanitizer, which keeps what was freed');
    const absences = vainDials(t).map(({ before, after, dials }) => ({
      seen: `${kib(before.anonymous)} before ${dials} dials that failed, ${kib(after.anonymous)} after them`,
      events: [before.seq, after.seq],
      grown: after.anonymous - before.anonymous > ABSENCE_GROWN,
    }));
    const vain = absences.find(({ grown }) => grown) ?? absences[0];
    if (vain?.grown) return broken('violation', `memory grows in an absence: ${vain.seen}`, vain.events);
    const size = Math.floor(looks.length / PARTS);
    if (size < LOOKS)
      return vain ? hold(vain.seen, vain.events) : notApplicable(`QEMU was seen at rest only ${looks.length} times`);
    // What does not divide evenly goes to the part that settles.
    const first = looks.length - (PARTS - 1) * size;
    const medians = Array.from({ length: PARTS - 1 }, (_, i) =>
      median(looks.slice(first + i * size, first + (i + 1) * size).map(({ anonymous }) => anonymous)),
    );
    const events = [looks[first]!.seq, looks.at(-1)!.seq];
    const seen = `${medians.map(kib).join(', ')} in one part after the other, ${size} looks each`;
    const growth = medians.slice(1).map((now, i) => now - medians[i]!);
    const grows = growth.every((bytes) => bytes >= GROWN) && growth.at(-1)! >= STEADY * growth[0]!;
    return grows ? broken('violation', `memory grows on: ${seen}`, events) : hold(seen, events);
  },
};
