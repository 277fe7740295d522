import type { Timeline } from '../timeline/index.js';

/**
 * What a judge says of one timeline. `seen` is one sentence for people; `events` are the seq numbers it rests on. Of several
 * breaks that is the worst one; `also` has the words on the others, the first 50 different ones.
 */
export type Judgement =
  | { outcome: 'hold'; seen: string; events: number[] }
  | { outcome: 'break'; kind: 'crash' | 'hang' | 'violation'; seen: string; events: number[]; also?: string[] }
  | { outcome: 'not-applicable'; seen: string; events: [] };

/** The levels, heaviest first. */
export const levels = ['must', 'should', 'info'] as const;
/** How much a broken requirement weighs, the heaviest first. */
export type ContractLevel = (typeof levels)[number];

/** One clause of the contract. */
export interface Requirement {
  /** `R1` ... for what QEMU owes, `T1` ... for traffic, `M1` for the chardev model. Stable. */
  id: string;
  title: string;
  /** The requirement as one sentence: what QEMU does or must not do. */
  sentence: string;
  level: ContractLevel;
  /** Where its force comes from: the vhost-user specification, QEMU's documented or tested behaviour, a fixed defect. */
  label: 'spec' | 'contract' | 'regression';
  /** `spec:<section>`, `qemu:<file>#<function>`, `defect:<id>`. */
  sources: readonly string[];
  /** What counts as conforming, bounds included; printed beside what was seen. */
  allowed: string;
  /** Pure. Never throws on a well-formed timeline, however short. */
  judge(timeline: Timeline): Judgement;
}
