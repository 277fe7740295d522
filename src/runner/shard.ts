import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { builtinCases, type Variant } from '../cases/index.js';
import type { Ms, Role } from '../timeline/index.js';

/** Part `index`, from 1, of `of` parts of a selection, that several machines run. */
export interface Shard {
  index: number;
  of: number;
}

/**
 * One part of the items. The parts have no item in common, all together have all, and each costs about the same: the dearest
 * item left goes to the part that costs least so far. The same items give the same parts, whoever asks.
 * @returns the items in the order in which they were given
 */
export function shardOf<T>(items: readonly T[], cost: (item: T) => number, { index, of }: Shard): T[] {
  const costs = new Array<number>(of).fill(0);
  const mine = new Set<T>();
  // The sort is stable: items of one cost stay in order.
  for (const item of items.toSorted((a, b) => cost(b) - cost(a))) {
    const part = costs.indexOf(Math.min(...costs));
    costs[part]! += cost(item);
    if (part === index - 1) mine.add(item);
  }
  return items.filter((item) => mine.has(item));
}

/** By case and role, what a variant took on a quiet machine beside the waits that it is made of: `make durations` records it. */
export const DURATIONS = join(builtinCases, 'durations.json');

/** What DURATIONS holds. A listening QEMU waits for nobody, one that dials waits for its own timer. */
export type Durations = Record<string, Partial<Record<Role, Ms>>>;

/** How long variants take, by what is recorded: for a case of which nothing is, as long as the others do. */
export function recordedDurations(): (variant: Variant) => Ms {
  const recorded = JSON.parse(readFileSync(DURATIONS, 'utf8')) as Durations;
  const all = Object.values(recorded).flatMap((roles) => Object.values(roles));
  const usual = all.reduce((sum, ms) => sum + ms, 0) / Math.max(1, all.length);
  return ({ caseId, role, minimumMs }) => minimumMs + (recorded[caseId]?.[role] ?? usual);
}
