import type { Change, Comparison, Difference, Slower, State } from '../runner/index.js';
import { count, formatMs, printable } from './format.js';
import type { Paint } from './paint.js';

/** In the order in which they matter to who reviews a change. */
const headings: readonly [Change, string][] = [
  ['broken', 'BROKEN: passed before, fails now'],
  ['differs', 'DIFFERS: fails both times, not in the same way'],
  ['unsteady', 'UNSTEADY: not the same in each repetition'],
  ['unclear', 'UNCLEAR: judged in one run only'],
  ['removed', 'NOT RUN any more'],
  ['fixed', 'FIXED: failed before, passes now'],
  ['added', 'NEW: not in the first run'],
];

/** Outages are told for the variants that differ most; all are in the JSON form. */
const MOST_OUTAGES = 10;

/** Lines for people: what changed, by what it means, and a last one that counts. */
export function renderComparison(comparison: Comparison, paint: Paint): string {
  const { differences, slower, faster, unchanged } = comparison;
  const colour = (change: Change) =>
    change === 'fixed' ? paint.good : change === 'added' ? paint.dim : change === 'broken' ? paint.bad : paint.warn;
  const parts = headings.flatMap(([change, heading]) => {
    const list = differences.filter((one) => one.change === change);
    return list.length === 0
      ? []
      : [
          `${colour(change)(heading)} (${list.length})`,
          ...list.flatMap((one) => [`  ${printable(one.variant)}`, ...details(one)]),
          '',
        ];
  });
  const counts = headings.flatMap(([change]) => {
    const n = differences.filter((one) => one.change === change).length;
    return n > 0 ? [`${n} ${change === 'differs' && n > 1 ? 'differ' : change}`] : [];
  });
  return `${[
    ...parts,
    ...outageLines('LONGER OUTAGES, as the machine has it', slower),
    ...outageLines('SHORTER OUTAGES, as the machine has it', faster),
    `${[...counts, `${count(unchanged, 'variant')} unchanged`].join(', ')}`,
  ].join('\n')}\n`;
}

function details({ change, before, after }: Difference): string[] {
  if (change === 'removed' || change === 'added') return [];
  return [`      before: ${before.map(stateText).join(' | ')}`, `      now:    ${after.map(stateText).join(' | ')}`];
}

function stateText({ verdict, kind, broken }: State): string {
  if (verdict !== 'fail') return verdict;
  return `${kind === undefined || kind === 'violation' ? 'fail' : kind} of ${broken.map(printable).join(', ')}`;
}

function outageLines(heading: string, list: readonly Slower[]): string[] {
  if (list.length === 0) return [];
  const left = list.length - MOST_OUTAGES;
  return [
    `${heading} (${list.length})`,
    ...list
      .slice(0, MOST_OUTAGES)
      .map((one) => `  ${printable(one.variant)}: ${formatMs(one.beforeMs)}, now ${formatMs(one.afterMs)}`),
    ...(left > 0 ? [`  and ${left} more`] : []),
    '',
  ];
}
