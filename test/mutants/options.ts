import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { isSelection, type Selection, selections } from '../../src/cases/definition.js';
import type { Defect } from './score.js';
import { DEFECT_VARIABLE } from './suite-run.js';
import { Trouble } from './trouble.js';

/** Nearly all of a variant is waiting for real timers, most of all where a defect makes it wait for its deadline. */
const JOBS_PER_CORE = 24;

export const HELP = `usage: mutation-test --qemu BINARY [options] [DEFECT...]

Runs the suite against each defect of the defective QEMU and prints what caught it, and the score.
A DEFECT is an id or its first components; without one all are run.

  --qemu BINARY     the defective QEMU (make mutants prints its path)
  --selection NAME  what of the catalogue runs against each: ${selections.join(', ')} [standard]
  --fail-fast       end each run at its first failure: quicker, and only the score is told
  --jobs N          variants side by side, over all runs of the suite [${JOBS_PER_CORE} per core]
  --out DIR         folder for reports; each run makes its own in it [reports]
  --keep-timelines  keep the timelines of defects that were caught, too
  --help            this text

exit code: 0 every defect was caught or is listed with a reason; 1 one was missed, or a listed one was caught;
           2 usage, or trouble of the environment; 130 interrupted
`;

export interface Options {
  qemu: string;
  selection: Selection;
  failFast: boolean;
  jobs: number;
  /** Absolute. */
  out: string;
  keepTimelines: boolean;
  selectors: string[];
}

/** @param args without node and script @returns undefined when asked for help @throws Trouble */
export function parseOptions(args: readonly string[], cwd: string): Options | undefined {
  const { values, positionals } = parse(args);
  if (values.help) return undefined;
  if (!values.qemu) throw new Trouble('--qemu is missing', 'make mutants prints the path of the defective QEMU');
  const jobs = values.jobs === undefined ? JOBS_PER_CORE * availableParallelism() : Number(values.jobs);
  if (!Number.isSafeInteger(jobs) || jobs < 1)
    throw new Trouble(`--jobs takes a whole number from 1 up, not ${values.jobs}`);
  const { selection = 'standard' } = values;
  if (!isSelection(selection)) throw new Trouble(`--selection takes ${selections.join(', ')}, not ${selection}`);
  if (values.out === '') throw new Trouble('--out needs a value, not an empty one');
  return {
    qemu: resolve(cwd, values.qemu),
    selection,
    failFast: values['fail-fast'] ?? false,
    jobs,
    out: resolve(cwd, values.out ?? 'reports'),
    keepTimelines: values['keep-timelines'] ?? false,
    selectors: positionals,
  };
}

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  try {
    return parseArgs({
      args: [...args],
      options: {
        qemu: text,
        selection: text,
        'fail-fast': flag,
        jobs: text,
        out: text,
        'keep-timelines': flag,
        help: flag,
      },
      allowPositionals: true,
    });
  } catch (error) {
    // Its first sentence says what is wrong; the others explain how a word with a dash is given.
    throw new Trouble((error as Error).message.split('. ')[0]!, '--help lists the options');
  }
}

/** The defects whose id is a selector or starts with its components, in their order. @throws Trouble when one fits none */
export function selectDefects<T extends Defect>(defects: readonly T[], selectors: readonly string[]): T[] {
  const fits = ({ id }: Defect, selector: string) => id === selector || id.startsWith(`${selector}.`);
  const idle = selectors.find((selector) => !defects.some((defect) => fits(defect, selector)));
  if (idle !== undefined) {
    const themes = [...new Set(defects.map(({ id }) => id.split('.')[0]))].join(', ');
    throw new Trouble(`there is no defect ${idle}`, `an id or its first components; themes are ${themes}`);
  }
  if (defects.length === 0) throw new Trouble('there are no defects');
  return defects.filter((defect) => selectors.length === 0 || selectors.some((selector) => fits(defect, selector)));
}

/** No defect has this id: the loader wants a theme, a dot and a name. */
const UNKNOWN = 'none';

/**
 * Sees that a QEMU has the defects, and that it refuses others: one that does not heed the variable would pass for a suite
 * that misses everything.
 * @throws Trouble
 */
export async function demandDefects(qemu: string, defects: readonly Defect[]): Promise<void> {
  const starts = (id: string) =>
    promisify(execFile)(qemu, ['--version'], { env: { ...process.env, [DEFECT_VARIABLE]: id } }).then(
      () => true,
      () => false,
    );
  const hint = 'make mutants builds it';
  if (await starts(UNKNOWN)) throw new Trouble(`${qemu} does not heed ${DEFECT_VARIABLE}`, hint);
  for (const { id } of defects)
    if (!(await starts(id))) throw new Trouble(`${qemu} does not have the defect ${id}`, hint);
}

/** @throws Trouble when a program cannot be run or read */
export async function demand(path: string, mode: 'execute' | 'read', hint: string): Promise<void> {
  const flag = mode === 'execute' ? constants.X_OK : constants.R_OK;
  await access(path, flag).catch(({ code }: NodeJS.ErrnoException) => {
    throw new Trouble(`cannot ${mode} ${path} (${code})`, hint);
  });
}
