import type { Outage, Stall } from '../contract/index.js';
import type { VariantResult } from '../runner/index.js';
import type { Ms } from '../timeline/index.js';
import { formatMs } from './format.js';

type Figure<T> = readonly [title: string, pick: (one: T) => Ms | undefined];

const ofOutages: readonly Figure<Outage>[] = [
  ['back-end away', (outage) => outage.awayMs],
  ['return to rings running', (outage) => outage.restartMs],
  ['no packet to the back-end (tx)', (outage) => outage.txMs],
  ['no packet to the guest (rx)', (outage) => outage.rxMs],
  ['no answered ping of the guest', (outage) => outage.pingMs],
];

const ofStalls: readonly Figure<Stall>[] = [
  ['main loop stalled by a back-end', (stall) => stall.ms],
  ['main loop back after that', (stall) => stall.recoveryMs],
];

/** Middle value; of an even number of values the mean of the two in the middle. */
export function median(sorted: readonly number[]): number {
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}

const cells = (...texts: string[]) => texts.map((text, i) => (i === 0 ? text.padEnd(40) : text.padStart(11))).join('');

/** The table of outage and stall figures by role; no lines when nothing was measured. */
export function renderOutages(results: readonly VariantResult[]): string[] {
  const rows = (['server', 'client'] as const).flatMap((role) => {
    const mine = results.filter((result) => result.role === role);
    const row =
      <T>(all: readonly T[]) =>
      ([title, pick]: Figure<T>): string[] => {
        const values = all.map(pick).filter((ms): ms is Ms => ms !== undefined);
        if (values.length === 0) return [];
        values.sort((a, b) => a - b);
        const [min, mid, max] = [values[0]!, median(values), values.at(-1)!].map(formatMs);
        return [cells(`${role}  ${title}`, String(values.length), min!, mid!, max!)];
      };
    return [
      ...ofOutages.flatMap(row(mine.flatMap(({ outages }) => outages))),
      ...ofStalls.flatMap(row(mine.flatMap(({ stalls }) => stalls))),
    ];
  });
  return rows.length === 0 ? [] : [cells('Outages', 'count', 'min', 'median', 'max'), ...rows];
}
