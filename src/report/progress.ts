import { isExpected, type VariantResult } from '../runner/index.js';
import { clip, formatMs } from './format.js';

/** Counts of a run that is under way. */
export class Tally {
  readonly #running = new Map<string, number[]>();
  #done = 0;
  readonly #by = { pass: 0, fail: 0, expected: 0, inconclusive: 0, skip: 0 };

  /** @param now milliseconds of a monotonic clock. */
  constructor(
    public total: number,
    private readonly now: () => number,
    private readonly since = now(),
  ) {}

  started(id: string): void {
    this.#running.set(id, [...(this.#running.get(id) ?? []), this.now()]);
  }

  ended(result: Pick<VariantResult, 'variant' | 'verdict' | 'expectation'>): void {
    const { variant, verdict } = result;
    const [, ...rest] = this.#running.get(variant) ?? [];
    if (rest.length > 0) this.#running.set(variant, rest);
    else this.#running.delete(variant);
    this.#done++;
    this.#by[isExpected(result) ? 'expected' : verdict]++;
  }

  /** `12/112`, aligned. */
  get position(): string {
    return `${String(this.#done).padStart(String(this.total).length)}/${this.total}`;
  }

  /** One line: position, counts, and the variant that has been running longest. */
  line(width: number): string {
    const counts = Object.entries(this.#by).filter(([verdict, n]) => n > 0 || verdict === 'pass');
    const words = counts.map(([verdict, n]) => `${n} ${verdict}`).join(', ');
    const running = [...this.#running.values()].reduce((sum, starts) => sum + starts.length, 0);
    const oldest = this.#running.entries().next().value;
    const tail = oldest ? `, ${running} running, longest ${oldest[0]}` : '';
    return clip(`${this.position}  ${words}  ${formatMs(this.now() - this.since)}${tail}`, width);
  }
}
