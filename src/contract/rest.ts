import type { Ms, Timeline } from '../timeline/index.js';
import { type Break, counted, hold, judged, ms, notApplicable } from './judgement.js';
import type { Requirement } from './requirement.js';
import { losses, sessionViews } from './sessions.js';
import { horizon, perTimeline, type Span, shortages, uncovered } from './timing.js';

/** Taking the device down is work; what comes after it is waiting. */
const SETTLE_MS = 250;

/** Less says nothing of a habit. */
const SHORTEST_MS = 500;

/** CPU time that no waiting QEMU needs; measured 2-15 ms in a second. */
const BUSY_MS: Ms = 200;

/**
 * The stretches in which nobody was connected, after the first loss, and QEMU had only to wait. Short of descriptors it can
 * accept nobody who waits at its door, and is told so again and again.
 */
const waits = perTimeline((t: Timeline): readonly Span[] => {
  const first = losses(t)[0];
  if (!first) return [];
  const covers = sessionViews(t).map(({ open, to }) => ({ from: open.t, to }));
  return uncovered({ from: first.close.t, to: horizon(t).t }, [...covers, ...shortages(t)])
    .map(({ from, to }) => ({ from: from + SETTLE_MS, to }))
    .filter(({ from, to }) => to - from >= SHORTEST_MS);
});

export const R44: Requirement = {
  id: 'R44',
  title: 'QEMU rests while no back-end is there',
  sentence: "While nobody is connected, QEMU's main thread sleeps but for its timers and what it is asked.",
  level: 'must',
  label: 'contract',
  sources: ['qemu:chardev/char-socket.c#qemu_chr_socket_restart_timer', 'qemu:util/main-loop.c#main_loop_wait'],
  allowed: `From ${SETTLE_MS} ms after the loss on it runs for less than ${BUSY_MS} ms, or for less than half of the time in which it need not wait for a CPU; not while it is short of file descriptors.`,
  judge(t) {
    const all = waits(t).filter(({ from, to }) => t.unwatched(from, to) < (to - from) / 2);
    if (all.length === 0) return notApplicable(`nobody was away for ${SHORTEST_MS} ms`);
    let most = 0;
    const breaks = all.flatMap(({ from, to }): Break[] => {
      const ran = t.ran(from, to);
      most = Math.max(most, ran);
      if (ran < BUSY_MS || ran < (to - from - t.queued(from, to)) / 2) return [];
      const seen = `QEMU's main thread ran for ${ms(ran)} of ${ms(to - from)} in which no back-end was there`;
      return [{ kind: 'violation', seen, events: [t.last('pace', (pace) => pace.t <= to)!.seq] }];
    });
    return judged(
      breaks,
      hold(`${counted(all.length, 'absence')}, at most ${ms(most)} on a CPU`, [losses(t).at(-1)!.close.seq]),
    );
  },
};
