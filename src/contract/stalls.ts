import type { Ms, Timeline } from '../timeline/index.js';
import { owed } from './sessions.js';
import { horizon } from './timing.js';

/** Answers that come sooner are the everyday business of a peer on a busy machine. */
const STALL_MS = 100;

/** When a heartbeat was asked and when it was answered; `to` is Infinity for one that never was. */
export interface Beat {
  from: Ms;
  to: Ms;
  seq: number;
}

/** All heartbeats. */
export function beats(t: Timeline): Beat[] {
  const answers = t
    .all('qmp.heartbeat')
    .map((beat) => ({ from: beat.sent, to: beat.sent + beat.latency, seq: beat.seq }));
  const silent = t.all('qmp.silent').filter(({ since }) => !answers.some((beat) => Math.abs(beat.from - since) < 1));
  // After the loss of the monitor nobody waits for the answer any more.
  const until = (seq: number) => t.first('qmp.lost', () => true, seq)?.t ?? Infinity;
  return [...answers, ...silent.map(({ since, seq }) => ({ from: since, to: until(seq), seq }))];
}

/** One time in which a peer kept QEMU's main loop waiting, measured by a heartbeat that was not answered meanwhile. */
export interface Stall {
  session: number;
  /** What QEMU waited for an answer to; absent where it was something else, such as a peer that does not read. */
  message?: string;
  /** How long QMP went unanswered while the peer kept QEMU waiting. */
  ms: Ms;
  /** From the peer's answer, or the end of its session, to the answer of QMP; undefined when there was none. */
  recoveryMs?: Ms;
}

/** The main-loop stalls of a run, in order. Nothing is wrong with QEMU for them: it has no limit on its peer's answers. */
export function stalls(t: Timeline): Stall[] {
  const end = horizon(t).t;
  const all = beats(t);
  return owed(t).flatMap(({ from, to, view, message }): Stall[] => {
    if (to - from < STALL_MS || to > end) return [];
    const beat = all.find((one) => one.from < to && one.to > to);
    if (!beat || to - Math.max(from, beat.from) < STALL_MS) return [];
    return [
      {
        session: view.session,
        ...(message === undefined ? {} : { message }),
        ms: to - Math.max(from, beat.from),
        ...(beat.to === Infinity ? {} : { recoveryMs: beat.to - to }),
      },
    ];
  });
}
