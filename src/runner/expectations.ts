import type { Variant } from '../cases/index.js';
import type { Entry } from './expectation-file.js';
import type { Expectation, VariantResult } from './result.js';
import { breaks } from './verdict.js';

/** The failures that are known of a QEMU, by variant. */
export class Expectations {
  readonly #entries: ReadonlyMap<string, { entry: Entry; line: number }>;

  /**
   * @param file where they stand, as reports show it
   * @param entries by variant id, each with its line in the file
   */
  constructor(
    readonly file: string,
    entries: ReadonlyMap<string, { entry: Entry; line: number }>,
  ) {
    this.#entries = entries;
  }

  /**
   * How a result stands to what is expected. Undefined when nothing is, when QEMU was not judged, and when all held that
   * breaks only sometimes.
   */
  judge({ id }: Pick<Variant, 'id'>, result: Pick<VariantResult, 'verdict' | 'requirements'>): Expectation | undefined {
    const known = this.#entries.get(id);
    if (!known || result.verdict === 'skip' || result.verdict === 'inconclusive') return undefined;
    const { requirements: always, may, reason, reference } = known.entry;
    const broken = breaks(result.requirements).map(({ requirement }) => requirement);
    const held = always.filter((requirement) => !broken.includes(requirement));
    const more = broken.filter((requirement) => ![...always, ...may].includes(requirement));
    if (held.length + more.length + broken.length === 0) return undefined;
    const state = more.length > 0 ? 'exceeded' : held.length > 0 ? 'stale' : 'met';
    return { state, place: `${this.file}:${known.line}`, reason, reference, broken, held, more };
  }
}
