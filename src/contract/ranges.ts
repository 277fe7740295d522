import type { SeqRanges } from '../timeline/index.js';

/** Sorted, disjoint, merged where they touch; empty ones dropped. */
export function normalize(ranges: Readonly<SeqRanges>): SeqRanges {
  const merged: SeqRanges = [];
  for (const [first, last] of ranges.filter(([a, b]) => a <= b).toSorted((a, b) => a[0] - b[0])) {
    const previous = merged.at(-1);
    if (previous && first <= previous[1] + 1) previous[1] = Math.max(previous[1], last);
    else merged.push([first, last]);
  }
  return merged;
}

/** What is in `a` and not in `b`. */
export function subtract(a: Readonly<SeqRanges>, b: Readonly<SeqRanges>): SeqRanges {
  const holes = normalize(b);
  return normalize(a).flatMap(([first, last]) => {
    const parts: SeqRanges = [];
    let from = first;
    for (const [start, end] of holes) {
      if (end < from || start > last) continue;
      if (start > from) parts.push([from, start - 1]);
      from = end + 1;
    }
    if (from <= last) parts.push([from, last]);
    return parts;
  });
}

/** What is in both. */
export function intersect(a: Readonly<SeqRanges>, b: Readonly<SeqRanges>): SeqRanges {
  return subtract(a, subtract(a, b));
}

/** What is in the list at least twice. */
export function repeated(ranges: Readonly<SeqRanges>): SeqRanges {
  let once: SeqRanges = [];
  const twice: SeqRanges = [];
  for (const range of ranges) {
    twice.push(...intersect([range], once));
    once = normalize([...once, range]);
  }
  return normalize(twice);
}

/** How many numbers disjoint ranges hold. */
export function count(ranges: Readonly<SeqRanges>): number {
  return ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0);
}

/** `3, 7-9`; the tail of a long list is cut. */
export function text(ranges: Readonly<SeqRanges>): string {
  const shown = ranges.slice(0, 4).map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`));
  return shown.join(', ') + (ranges.length > shown.length ? ', ...' : '');
}
