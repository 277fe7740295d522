import type { Judgement } from './requirement.js';

/** What a broken requirement did to QEMU, worst first: it died, it does not answer, it behaves wrongly. */
export type BreakKind = 'crash' | 'hang' | 'violation';

/** One way in which a timeline breaks a requirement. */
export interface Break {
  kind: BreakKind;
  seen: string;
  events: number[];
}

/** A QEMU that flaps breaks a requirement thousands of times, in the same way. */
const MOST_WORDS = 50;

const severity: readonly BreakKind[] = ['crash', 'hang', 'violation'];

/** The requirement holds. `events` are the seq numbers that show it. */
export function hold(seen: string, events: number[] = []): Judgement {
  return { outcome: 'hold', seen, events };
}

/** The requirement is broken. */
export function broken(kind: BreakKind, seen: string, events: number[]): Judgement {
  return { outcome: 'break', kind, seen, events };
}

/** The timeline gave no occasion to judge. */
export function notApplicable(why: string): Judgement {
  return { outcome: 'not-applicable', seen: why, events: [] };
}

/** The worst of the breaks (the first of equals) and what more there are; `otherwise` when there is none. */
export function judged(breaks: readonly Break[], otherwise: Judgement): Judgement {
  const worst = severity.map((kind) => breaks.find((one) => one.kind === kind)).find((one) => one !== undefined);
  if (!worst) return otherwise;
  const others = breaks.filter((one) => one !== worst);
  if (others.length === 0) return broken(worst.kind, worst.seen, worst.events);
  const also = [...new Set(others.map(({ seen }) => seen))].slice(0, MOST_WORDS);
  const seen = `${worst.seen} (and ${others.length} more)`;
  return { outcome: 'break', kind: worst.kind, seen, events: worst.events, also };
}

/** `1 loss`, `3 losses`. */
export function counted(n: number, one: string, many = `${one}s`): string {
  return `${n} ${n === 1 ? one : many}`;
}

/** A duration for people, with a decimal where it matters. */
export function ms(duration: number): string {
  return `${duration < 10 ? Math.round(duration * 10) / 10 : Math.round(duration)} ms`;
}
