import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { isSelection, type Selection, selections } from '../../src/cases/definition.js';
import { Trouble } from '../mutants/trouble.js';
import { type Release, releases } from './releases.js';

/** As the tester's own default. */
const JOBS_PER_CORE = 8;

export const HELP = `usage: make matrix [RELEASES="trixie sid"] [ARGS="options"]

Unpacks the QEMU of Debian releases into the cache, runs the suite on each, and writes one table.
Releases: ${releases.map(({ suite }) => suite).join(', ')}; without one, all of them.

  --mirror SUITE=URL  another archive for a release; may be given several times [the host's mirror of Debian]
  --selection NAME    what of the catalogue is run: ${selections.join(', ')} [standard]
  --jobs N            variants side by side [${JOBS_PER_CORE} per core]
  --out DIR           folder for reports; each matrix makes its own in it [reports]
  --help              this text

exit code: 0 every failure is explained by an expectation file; 1 one is not, or an expectation is stale;
           2 usage, or trouble of the environment; 4 something could not be judged; 130 interrupted
`;

export interface Options {
  releases: readonly Release[];
  /** By suite. */
  mirrors: ReadonlyMap<string, string>;
  selection: Selection;
  jobs: number;
  /** Absolute. */
  out: string;
}

/** @param args without node and script @returns undefined when asked for help @throws Trouble */
export function parseOptions(args: readonly string[], cwd: string): Options | undefined {
  const { values, positionals } = parse(args);
  if (values.help) return undefined;
  for (const suite of positionals) known(suite);
  const jobs = values.jobs === undefined ? JOBS_PER_CORE * availableParallelism() : Number(values.jobs);
  if (!Number.isSafeInteger(jobs) || jobs < 1)
    throw new Trouble(`--jobs takes a whole number from 1 up, not ${values.jobs}`);
  const { selection = 'standard' } = values;
  if (!isSelection(selection)) throw new Trouble(`--selection takes ${selections.join(', ')}, not ${selection}`);
  if (values.out === '') throw new Trouble('--out needs a value, not an empty one');
  return {
    releases: releases.filter(({ suite }) => positionals.length === 0 || positionals.includes(suite)),
    mirrors: new Map((values.mirror ?? []).map(mirror)),
    selection,
    jobs,
    out: resolve(cwd, values.out ?? 'reports'),
  };
}

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const;
  try {
    return parseArgs({
      args: [...args],
      options: {
        mirror: { type: 'string', multiple: true },
        selection: text,
        jobs: text,
        out: text,
        help: { type: 'boolean' },
      },
      allowPositionals: true,
    });
  } catch (error) {
    // Its first sentence says what is wrong; the others explain how a word with a dash is given.
    throw new Trouble((error as Error).message.split('. ')[0]!, '--help lists the options');
  }
}

function mirror(text: string): [suite: string, url: string] {
  const [, suite, url] = /^([a-z]+)=(https?:\/\/\S+|file:\/\S+)$/.exec(text) ?? [];
  if (suite === undefined || url === undefined)
    throw new Trouble(`--mirror takes SUITE=URL, not ${text}`, 'e.g. bullseye=http://archive.debian.org/debian');
  return [known(suite), url];
}

function known(suite: string): string {
  if (releases.some((release) => release.suite === suite)) return suite;
  throw new Trouble(`there is no release ${suite}`, `known are ${releases.map((one) => one.suite).join(', ')}`);
}
