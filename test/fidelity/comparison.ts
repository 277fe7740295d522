import type { Difference } from './differences.js';
import type { Sequence } from './sequence.js';
import type { PhaseName } from './transcript.js';

/** One difference of two sequences: a message that is another, or messages that only one of them has there. */
export interface Deviation {
  recorded: string[];
  seen: string[];
}

/**
 * How `seen` differs from `recorded`. Messages are laid side by side by number and ring index, as many equal ones as
 * possible; a pair of different content is one deviation, and each run without a partner is one.
 */
export function compare(recorded: readonly string[], seen: readonly string[]): Deviation[] {
  const score = scores(recorded, seen);
  const deviations: Deviation[] = [];
  /** The run that the next message without partner belongs to. */
  let run: Deviation | undefined;
  const alone = (): Deviation => {
    if (run) return run;
    run = { recorded: [], seen: [] };
    deviations.push(run);
    return run;
  };
  let [i, j] = [0, 0];
  while (i < recorded.length || j < seen.length) {
    const [mine, theirs] = [recorded[i], seen[j]];
    const rest = score[i]![j]!;
    if (
      mine !== undefined &&
      theirs !== undefined &&
      rest === score[i + 1]![j + 1]! + worth(mine, theirs) &&
      same(mine, theirs)
    ) {
      run = undefined;
      if (mine !== theirs) deviations.push({ recorded: [mine], seen: [theirs] });
      i++;
      j++;
    } else if (theirs === undefined || (mine !== undefined && rest === score[i + 1]![j]!)) {
      alone().recorded.push(mine!);
      i++;
    } else {
      alone().seen.push(theirs);
      j++;
    }
  }
  return deviations;
}

/** What two messages of one kind are worth side by side. No sequence is so long that many unequal pairs beat an equal one. */
const EQUAL = 10_000;
const worth = (a: string, b: string): number => (a === b ? EQUAL : 1);

/** Number, name and ring of a message. */
const kind = (line: string): string => /^\d+ \S+/.exec(line)![0] + (/ index=\d+/.exec(line)?.[0] ?? '');
const same = (a: string, b: string): boolean => kind(a) === kind(b);

/** score[i][j]: the best that can be made of what follows i in one list and j in the other. */
function scores(a: readonly string[], b: readonly string[]): number[][] {
  const table = Array.from({ length: a.length + 1 }, () => new Array<number>(b.length + 1).fill(0));
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--) {
      const pair = same(a[i]!, b[j]!) ? table[i + 1]![j + 1]! + worth(a[i]!, b[j]!) : 0;
      table[i]![j] = Math.max(pair, table[i + 1]![j]!, table[i]![j + 1]!);
    }
  return table;
}

/** What became of the comparison of a run with its transcript. */
export interface Comparison {
  /** Messages of the transcript's front-end. */
  messages: number;
  /** How many of them are as recorded. */
  equal: number;
  /** Deviations that are listed. */
  listed: number;
  /** Deviations that nobody listed, and listed ones that are not there; one line each. */
  faults: string[];
}

/**
 * Compares a run with a transcript, phase by phase. Every deviation must be listed, and every listed difference must be
 * there: a message listed as another must be so wherever the phase has it, messages listed as missing or additional once.
 * @param differences those of this transcript
 */
export function judge(
  recorded: readonly Sequence[],
  seen: readonly Sequence[],
  differences: readonly Difference[],
): Comparison {
  const result: Comparison = { messages: 0, equal: 0, listed: 0, faults: [] };
  const fault = (phase: PhaseName, text: string) => result.faults.push(`${phase}: ${text}`);
  for (const [i, { phase, lines }] of recorded.entries()) {
    const deviations = compare(lines, seen[i]?.lines ?? []);
    const expected = differences.filter(({ phases }) => phases.includes(phase));
    result.messages += lines.length;
    result.equal += lines.length - deviations.flatMap((one) => one.recorded).length;
    for (const deviation of deviations) {
      if (expected.some((difference) => text(difference) === text(deviation))) result.listed++;
      else fault(phase, `not listed: ${text(deviation)}`);
    }
    for (const difference of expected) {
      const { recorded: mine, seen: theirs } = difference;
      const found = deviations.filter((deviation) => text(deviation) === text(difference)).length;
      const wanted = mine.length === 1 && theirs.length === 1 ? lines.filter((line) => line === mine[0]).length : 1;
      if (found === 0 || found !== wanted)
        fault(phase, `listed, but ${found} of ${Math.max(1, wanted)} times there: ${text(difference)}`);
    }
  }
  return result;
}

const text = ({ recorded, seen }: Deviation): string =>
  `recorded ${recorded.join(', ') || 'nothing'}; seen ${seen.join(', ') || 'nothing'}`;
