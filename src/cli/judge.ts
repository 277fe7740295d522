import { resolve } from 'node:path';
import type { Argv, CommandModule } from 'yargs';
import { paint, renderComparison, wantsColour } from '../report/index.js';
import { compareRuns, type RunResult, readRun, rejudge, repetitionsApart } from '../runner/index.js';
import { type Context, EXIT } from './io.js';

const build = (argv: Argv) =>
  argv
    .positional('run', { type: 'string', demandOption: true, describe: "A run's folder, or its results.json" })
    .example('$0 judge reports/2026-11-23T09-00-00', 'what the contract of this tester says of an older run');

type JudgeArguments = ReturnType<ReturnType<typeof build>['parseSync']>;

/** `judge`: an old run by the contract of today. */
export function judgeCommand({ io, exit }: Context): CommandModule<object, JudgeArguments> {
  return {
    command: 'judge <run>',
    describe: "Judge a run's timelines again and show what changed",
    builder: build,
    handler: async (argv) => {
      const run = await readRun(resolve(io.cwd, argv.run));
      const [before, now] = [run.result, await rejudge(run)].map(repetitionsApart) as [RunResult, RunResult];
      const comparison = compareRuns(before, now, run.result.selection.level);
      io.stdout.write(
        renderComparison({ ...comparison, slower: [], faster: [] }, paint(wantsColour(io.stdout, io.env))),
      );
      exit(comparison.differences.length > 0 ? EXIT.failed : EXIT.ok);
    },
  };
}
