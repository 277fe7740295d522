import { type Event, type SeqRanges, toRanges } from '../timeline/index.js';

type Dir = 'tx' | 'rx';

/** Packets of one pair and direction that a burst expects. */
export interface Expected {
  dir: Dir;
  pair: number;
  first: number;
  count: number;
}

/** Which packets were seen, and used, read off the timeline as it grows. It answers when a burst is through; it judges nothing. */
export class Ledger {
  readonly #seen = new Map<string, Set<number>>();
  /** TX packets that came back to the driver. */
  readonly #used = new Map<string, Set<number>>();
  readonly #next = new Map<string, number>();

  /** A recorder's listener. */
  readonly listen = (event: Event): void => {
    if (event.type !== 'packets.seen' && event.type !== 'packets.completed') return;
    const set = setOf(event.type === 'packets.seen' ? this.#seen : this.#used, event);
    for (const [first, last] of event.seqs) for (let seq = first; seq <= last; seq++) set.add(seq);
  };

  /** Numbers the next `count` packets of a pair and direction. */
  take(dir: Dir, pair: number, count: number): Expected {
    const key = `${dir}${pair}`;
    const first = this.#next.get(key) ?? 0;
    this.#next.set(key, first + count);
    return { dir, pair, first, count };
  }

  /** What of it was not seen yet. */
  missing(part: Expected): SeqRanges {
    return without(part, setOf(this.#seen, part));
  }

  /** What of it did not come back to the driver yet; TX. */
  unused(part: Expected): SeqRanges {
    return without(part, setOf(this.#used, part));
  }
}

function setOf(sets: Map<string, Set<number>>, { dir, pair }: { dir: Dir; pair: number }): Set<number> {
  const key = `${dir}${pair}`;
  const set = sets.get(key) ?? new Set();
  sets.set(key, set);
  return set;
}

function without({ first, count }: Expected, set: ReadonlySet<number>): SeqRanges {
  const seqs: number[] = [];
  for (let seq = first; seq < first + count; seq++) if (!set.has(seq)) seqs.push(seq);
  return toRanges(seqs);
}
