import type { SeqRanges } from './events.js';

/** Joins sequence numbers, in the order they came, into inclusive ranges: 1 2 3 7 8 -> [1,3] [7,8]. */
export function toRanges(seqs: readonly number[]): SeqRanges {
  const ranges: SeqRanges = [];
  for (const seq of seqs) {
    const last = ranges.at(-1);
    if (last && seq === last[1] + 1) last[1] = seq;
    else ranges.push([seq, seq]);
  }
  return ranges;
}
