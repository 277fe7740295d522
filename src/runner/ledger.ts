import { type Event, type SeqRanges, toRanges } from '../timeline/index.js';

type Dir = 'tx' | 'rx';

/** Packets of one pair and direction that a burst expects. */
export interface Expected {
  dir: Dir;
  pair: number;
  first: number;
  count: number;
}

/** Which packets were seen, read off the timeline as it grows. It answers when a burst is through; it judges nothing. */
export class Ledger {
  readonly #seen = new Map<string, Set<number>>();
  readonly #next = new Map<string, number>();

  /** A recorder's listener. */
  readonly listen = (event: Event): void => {
    if (event.type !== 'packets.seen') return;
    const seen = this.#set(event.dir, event.pair);
    for (const [first, last] of event.seqs) for (let seq = first; seq <= last; seq++) seen.add(seq);
  };

  /** Numbers the next `count` packets of a pair and direction. */
  take(dir: Dir, pair: number, count: number): Expected {
    const key = `${dir}${pair}`;
    const first = this.#next.get(key) ?? 0;
    this.#next.set(key, first + count);
    return { dir, pair, first, count };
  }

  /** What of it was not seen yet. */
  missing({ dir, pair, first, count }: Expected): SeqRanges {
    const seen = this.#set(dir, pair);
    const seqs: number[] = [];
    for (let seq = first; seq < first + count; seq++) if (!seen.has(seq)) seqs.push(seq);
    return toRanges(seqs);
  }

  #set(dir: Dir, pair: number): Set<number> {
    const key = `${dir}${pair}`;
    let set = this.#seen.get(key);
    if (!set) {
      set = new Set();
      this.#seen.set(key, set);
    }
    return set;
  }
}
