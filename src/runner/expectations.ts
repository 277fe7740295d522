import type { Variant } from '../cases/index.js';
import { type ContractLevel, levels, registry } from '../contract/index.js';
import type { Entry, SeenPatterns } from './expectation-file.js';
import type { Expectation, VariantResult } from './result.js';
import { type Broken, breaks } from './verdict.js';

/** An entry, with its line in the file and the variants that it names. */
export interface KnownFailure {
  entry: Entry;
  line: number;
  picks(variant: Variant): boolean;
}

/** The failures that are known of a QEMU, by variant. */
export class Expectations {
  readonly #entries: readonly KnownFailure[];
  readonly #seen: ReadonlyMap<string, RegExp>;

  /**
   * @param file where they stand, as reports show it
   * @param entries of several that name a variant the last one counts
   * @param text the whole file, for a run to keep with its results
   * @param seen how requirements break that entries name, where that is known
   */
  constructor(
    readonly file: string,
    entries: readonly KnownFailure[],
    readonly text?: string,
    seen: SeenPatterns = {},
  ) {
    this.#entries = entries;
    this.#seen = new Map(Object.entries(seen).map(([id, pattern]) => [id, new RegExp(pattern!)]));
  }

  /**
   * How a result stands to what is expected. Undefined when nothing is, when QEMU was not judged, and when all held that
   * breaks only sometimes.
   */
  judge(
    variant: Variant,
    result: Pick<VariantResult, 'verdict' | 'requirements'>,
    level: ContractLevel = 'must',
  ): Expectation | undefined {
    const known = this.#entries.findLast(({ picks }) => picks(variant));
    if (!known || result.verdict === 'skip' || result.verdict === 'inconclusive') return undefined;
    const { requirements: always, may, reason, reference } = known.entry;
    const broke = breaks(result.requirements, level);
    const broken = broke.map(({ requirement }) => requirement);
    const held = always.filter((requirement) => weighs(requirement, level) && !broken.includes(requirement));
    const more = broke.flatMap((one) =>
      [...always, ...may].includes(one.requirement) && this.#isAsKnown(one) ? [] : one.requirement,
    );
    if (held.length + more.length + broken.length === 0) return undefined;
    const state = more.length > 0 ? 'exceeded' : held.length > 0 ? 'stale' : 'met';
    return { state, place: `${this.file}:${known.line}`, reason, reference, broken, held, more };
  }

  /** Whether a requirement broke in the way that is known, and in no other. */
  #isAsKnown({ requirement, judgement: { seen, also = [] } }: Broken): boolean {
    const pattern = this.#seen.get(requirement);
    return !pattern || [seen, ...also].every((words) => pattern.test(words));
  }
}

/** Whether what breaks a requirement fails a variant at all. */
function weighs(id: string, from: ContractLevel): boolean {
  const { level } = registry.find((requirement) => requirement.id === id)!;
  return levels.indexOf(level) <= levels.indexOf(from);
}
