import type { Outage } from '../contract/index.js';
import type { VariantResult } from '../runner/index.js';
import type { Ms } from '../timeline/index.js';
import { formatMs } from './format.js';

const figures = [
  ['back-end away', (outage: Outage) => outage.awayMs],
  ['return to rings running', (outage: Outage) => outage.restartMs],
  ['no packet to the back-end (tx)', (outage: Outage) => outage.txMs],
  ['no packet to the guest (rx)', (outage: Outage) => outage.rxMs],
] as const;

/** Middle value; of an even number of values the mean of the two in the middle. */
export function median(sorted: readonly number[]): number {
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2;
}

const cells = (...texts: string[]) => texts.map((text, i) => (i === 0 ? text.padEnd(40) : text.padStart(11))).join('');

/** The table of outage figures by role; no lines when nothing was measured. */
export function renderOutages(results: readonly VariantResult[]): string[] {
  const rows = (['server', 'client'] as const).flatMap((role) => {
    const outages = results.filter((result) => result.role === role).flatMap((result) => result.outages);
    return figures.flatMap(([title, pick]) => {
      const values = outages.map(pick).filter((ms): ms is Ms => ms !== undefined);
      if (values.length === 0) return [];
      values.sort((a, b) => a - b);
      const [min, mid, max] = [values[0]!, median(values), values.at(-1)!].map(formatMs);
      return [cells(`${role}  ${title}`, String(values.length), min!, mid!, max!)];
    });
  });
  return rows.length === 0 ? [] : [cells('Outages', 'count', 'min', 'median', 'max'), ...rows];
}
