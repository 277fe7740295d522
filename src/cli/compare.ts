import { resolve } from 'node:path';
import type { Argv, CommandModule } from 'yargs';
import { type ContractLevel, levels } from '../contract/index.js';
import { paint, printable, renderComparison, wantsColour } from '../report/index.js';
import { type Comparison, compareRuns, type Difference, readRun, type State, type StoredRun } from '../runner/index.js';
import { type Context, EXIT } from './io.js';
import { choice } from './options.js';

const build = (argv: Argv) =>
  argv
    .positional('before', { type: 'string', demandOption: true, describe: "A run's folder, or its results.json" })
    .positional('after', { type: 'string', demandOption: true, describe: 'The run to compare with it' })
    .option('level', {
      ...choice('level', levels),
      describe: 'Requirements from this level up fail a variant, in both [that of the second run]',
    })
    .option('json', { boolean: true, default: false, describe: 'For programs' })
    .example('$0 compare reports/before reports/after', 'what a patch of QEMU changed');

type CompareArguments = ReturnType<ReturnType<typeof build>['parseSync']>;

/** `compare`: two runs, for the review of a change of QEMU. */
export function compareCommand({ io, exit }: Context): CommandModule<object, CompareArguments> {
  return {
    command: 'compare <before> <after>',
    describe: 'Show what changed from one run to another',
    builder: build,
    handler: async (argv) => {
      const [before, after] = await Promise.all(
        [argv.before, argv.after].map((path) => readRun(resolve(io.cwd, path))),
      );
      const level = (argv.level ?? after!.result.selection.level) as ContractLevel;
      const comparison = compareRuns(before!.result, after!.result, level);
      io.stdout.write(
        argv.json
          ? `${JSON.stringify({ schema: 1, before: about(before!), after: about(after!), level, ...comparison }, null, 2)}\n`
          : `${headOf('before', before!)}${headOf('now   ', after!)}\n${renderComparison(comparison, paint(wantsColour(io.stdout, io.env)))}`,
      );
      exit(exitCodeOf(comparison));
    },
  };
}

const about = ({ dir, result: { qemu, tester, startedAt } }: StoredRun) => ({ dir, qemu, tester, startedAt });

const headOf = (word: string, { result: { qemu, tester, startedAt, variants } }: StoredRun) =>
  `${word}  QEMU ${printable(qemu.version)} (${printable(qemu.path)}), ${variants.length} results of ${startedAt}, tester ${printable(tester.version)}\n`;

/**
 * As of a run: 3 a crash or a hang that was not there; 1 a break that was not there, or a variant that is not steady; 4 not
 * judged any more; else 0. A variant that is new counts by what it came to.
 */
export function exitCodeOf({ differences }: Comparison): number {
  const any = (test: (one: Difference) => boolean) => differences.some((one) => one.change !== 'fixed' && test(one));
  const severe = ({ kind }: State) => kind === 'crash' || kind === 'hang';
  if (any(({ before, after }) => after.some(severe) && !before.some(severe))) return EXIT.severe;
  if (any(({ change, more }) => change === 'unsteady' || more.length > 0)) return EXIT.failed;
  const judged = ({ verdict }: State) => verdict === 'pass' || verdict === 'fail';
  if (any(({ before, after }) => before.some(judged) && !after.some(judged))) return EXIT.inconclusive;
  return EXIT.ok;
}
