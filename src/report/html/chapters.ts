import { type FailKind, isExpected, type VariantResult } from '../../runner/index.js';
import { breaksOf } from '../failure.js';
import { groupBy } from '../group.js';

/** A result with the name by which links find it: the variant's id, with `~2` for its second run and so on. */
export interface Entry {
  result: VariantResult;
  anchor: string;
}

/** Results of one cause: of one kind, that broke the same requirement first (or have the same reason). */
export interface Cause {
  title: string;
  entries: Entry[];
}

/** What a reader looks at in one go. */
export interface Chapter {
  id: string;
  title: string;
  /** How it is coloured: what is wrong, what is unclear, what is known. */
  tone: 'bad' | 'warn' | 'off';
  causes: Cause[];
}

/** Every result with its anchor, in the order given. */
export function entriesOf(results: readonly VariantResult[]): Entry[] {
  const runs = new Map<string, number>();
  return results.map((result) => {
    const run = (runs.get(result.variant) ?? 0) + 1;
    runs.set(result.variant, run);
    return { result, anchor: run === 1 ? result.variant : `${result.variant}~${run}` };
  });
}

/** What did not simply hold, the most urgent first. */
export function chaptersOf(entries: readonly Entry[]): Chapter[] {
  const stale = ({ result }: Entry) => result.expectation?.state === 'stale';
  const known = ({ result }: Entry) => isExpected(result);
  const failed = (kind: FailKind) => (entry: Entry) =>
    entry.result.verdict === 'fail' && (entry.result.kind ?? 'violation') === kind && !stale(entry) && !known(entry);
  const chapter = (id: string, title: string, tone: Chapter['tone'], test: (entry: Entry) => boolean): Chapter => ({
    id,
    title,
    tone,
    causes: [...groupBy(entries.filter(test), causeOf)].map(([cause, some]) => ({ title: cause, entries: some })),
  });
  return [
    chapter('_crash', 'Crashes', 'bad', failed('crash')),
    chapter('_hang', 'Hangs', 'bad', failed('hang')),
    chapter('_violation', 'Violations', 'bad', failed('violation')),
    chapter('_stale', 'Stale expectations', 'bad', stale),
    chapter('_inconclusive', 'Inconclusive', 'warn', ({ result }) => result.verdict === 'inconclusive'),
    chapter('_expected', 'Expected failures', 'off', (entry) => known(entry) && !stale(entry)),
  ].filter(({ causes }) => causes.length > 0);
}

function causeOf({ result }: Entry): string {
  if (isExpected(result) || result.expectation?.state === 'stale') return result.expectation!.reference;
  if (result.verdict !== 'fail') return result.reason ?? 'no reason given';
  return breaksOf(result)[0]?.requirement ?? 'no requirement';
}

/**
 * The entries that get room when there is not enough for all: the first of each cause, then the second of each, and so on.
 * @param room how many
 */
export function choose(chapters: readonly Chapter[], room: number): Set<Entry> {
  const causes = chapters.flatMap((chapter) => chapter.causes);
  const chosen = new Set<Entry>();
  const most = Math.max(0, ...causes.map(({ entries }) => entries.length));
  for (let i = 0; i < most && chosen.size < room; i++)
    for (const { entries } of causes) if (entries[i] && chosen.size < room) chosen.add(entries[i]!);
  return chosen;
}
