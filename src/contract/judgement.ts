import type { Judgement } from './requirement.js';

/** What a broken requirement did to QEMU, worst first: it died, it does not answer, it behaves wrongly. */
export type BreakKind = 'crash' | 'hang' | 'violation';

/** One way in which a timeline breaks a requirement. */
export interface Break {
  kind: BreakKind;
  seen: string;
  events: number[];
}

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

/** The worst of the breaks (the first of equals) and how many more there are; `otherwise` when there is none. */
export function judged(breaks: readonly Break[], otherwise: Judgement): Judgement {
  const worst = severity.map((kind) => breaks.find((one) => one.kind === kind)).find((one) => one !== undefined);
  if (!worst) return otherwise;
  const more = breaks.length - 1;
  return broken(worst.kind, more > 0 ? `${worst.seen} (and ${more} more)` : worst.seen, worst.events);
}

/** `1 loss`, `3 losses`. */
export function counted(n: number, one: string, many = `${one}s`): string {
  return `${n} ${n === 1 ? one : many}`;
}

/** A duration for people, with a decimal where it matters. */
export function ms(duration: number): string {
  return `${duration < 10 ? Math.round(duration * 10) / 10 : Math.round(duration)} ms`;
}
