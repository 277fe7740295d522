import { rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Argv, CommandModule } from 'yargs';
import { mergeFiles, mergeRuns, readRun } from '../runner/index.js';
import type { Context } from './io.js';
import { outOption } from './options.js';
import { isFileTrouble, makeOut, unwritable } from './out.js';
import { reporters } from './reporters.js';

const build = (argv: Argv) =>
  outOption(
    argv.positional('run', {
      array: true,
      type: 'string',
      demandOption: true,
      describe: 'Folders of all shards, or their results.json',
    }),
  ).example('$0 merge shard-*/2026-*', 'the reports of one run from its shards');

type MergeArguments = ReturnType<ReturnType<typeof build>['parseSync']>;

/** `merge`: the shards of a run as the run that they are. */
export function mergeCommand({ io, exit }: Context): CommandModule<object, MergeArguments> {
  return {
    command: 'merge <run..>',
    describe: 'Bring the shards of a run together',
    builder: build,
    handler: async (argv) => {
      const runs = await Promise.all((argv.run as string[]).map((path) => readRun(resolve(io.cwd, path))));
      const result = mergeRuns(runs);
      const out = makeOut(resolve(io.cwd, argv.out));
      try {
        await mergeFiles(runs, out);
        for (const reporter of reporters(io, true)) await reporter.onEnd?.(result, out);
      } catch (error) {
        // Half a run would be taken for one.
        await rm(out, { recursive: true, force: true });
        throw isFileTrouble(error, out) ? unwritable(out, error) : error;
      }
      exit(result.exitCode);
    },
  };
}
