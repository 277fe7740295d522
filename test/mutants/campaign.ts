import { setMaxListeners } from 'node:events';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseDocument } from 'yaml';
import type { Selection } from '../../src/cases/index.js';
import { isExpected, type RunResult, type VariantResult } from '../../src/runner/index.js';
import { pool } from '../../src/runner/pool.js';
import { WITH_DEFECTS } from './build.js';
import { findings } from './catches.js';
import { type Defect, type DefectResult, escaped, resultOf } from './score.js';
import { runSuite, type SuiteRunOptions } from './suite-run.js';
import { Trouble } from './trouble.js';

/** A suite run waits for real timers most of its time; this many variants side by side keep its wait short. */
const JOBS_PER_SUITE = 16;

export interface CampaignOptions extends Pick<SuiteRunOptions, 'suite' | 'signal'> {
  /** The QEMU that has all the defects. */
  qemu: string;
  defects: readonly Defect[];
  /** What of the catalogue runs against each defect. */
  selection: Selection;
  /** Ends a run at its first failure: quicker, and only the score can be told. */
  failFast: boolean;
  /** Variants side by side, over all runs of the suite. */
  jobs: number;
  /** Existing folder; each run gets a folder of its own in it. */
  out: string;
  /** Keeps the timelines of defects that were caught, too. */
  keepTimelines: boolean;
  /** Told of each defect when its run ended: twice of one that its first run missed. */
  onResult(result: DefectResult, done: number): void;
}

/** What came out: the results so far when it was interrupted. */
export interface Campaign {
  /** The defective QEMU. */
  qemu: RunResult['qemu'];
  /** Variants that fail without a defect, on the installed QEMU and on the defective one alike. They catch nothing. */
  unfit: string[];
  /** In the order of `defects`. */
  results: DefectResult[];
}

/**
 * Runs the suite against each defect, several at a time, after it was seen that without a defect the build behaves as the
 * installed QEMU. What was missed is run once more, alone, with the standard selection at least.
 * @returns undefined when interrupted before the first defect
 * @throws Trouble, the file system's error
 */
export async function campaign(options: CampaignOptions): Promise<Campaign | undefined> {
  const { qemu, defects, jobs, out, signal } = options;
  const width = Math.max(1, Math.ceil(jobs / JOBS_PER_SUITE));
  const each = Math.max(1, Math.floor(jobs / width));
  // Trouble of one run ends the others: they would meet it too.
  const ender = new AbortController();
  const either = AbortSignal.any([signal, ender.signal]);
  setMaxListeners(width + 10, either);
  const suiteRun = (
    name: string,
    of: Pick<SuiteRunOptions, 'qemu' | 'defect' | 'selection' | 'expected' | 'failFast'>,
  ) =>
    runSuite({ ...of, suite: options.suite, jobs: each, dir: join(out, name), signal: either }).catch(
      (error: unknown) => {
        ender.abort();
        throw error;
      },
    );
  const without = async (selection: Selection): Promise<Baseline | undefined> => {
    const installed = await suiteRun(`installed-${selection}`, { selection });
    const known = installed?.expectations && { expected: await expectedOf(installed.expectations.file, out) };
    const none = installed && (await suiteRun(`no-defect-${selection}`, { qemu, selection, ...known }));
    return none && { qemu: none.qemu, unfit: baseline(installed, none), ...known };
  };
  const first = await without(options.selection);
  if (!first) return undefined;
  const results = new Map<string, DefectResult>();
  const examine = async (
    defect: Defect,
    runs: DefectResult['runs'],
    selection: Selection,
    { unfit, expected }: Baseline,
  ) => {
    const dir = join(out, defect.id);
    await rm(dir, { recursive: true, force: true });
    const { failFast } = options;
    const known = expected === undefined ? {} : { expected };
    const run = await suiteRun(defect.id, { qemu, defect: defect.id, selection, failFast, ...known });
    if (!run) return rm(dir, { recursive: true });
    const result = resultOf(defect, await findings(run, new Set(unfit), dir), run.durationMs, runs);
    if (result.verdict === 'caught' && !options.keepTimelines) await rm(join(dir, 'timelines'), { recursive: true });
    results.set(defect.id, result);
    options.onResult(result, results.size);
  };
  await pool(defects, width, signal, (defect) => examine(defect, 1, options.selection, first));
  // Bounds are judged after subtracting what the machine took: the load of other runs can hide a defect.
  const again = defects.filter(({ id }) => escapedSoFar(results.get(id)));
  const wider = options.selection === 'quick' ? 'standard' : options.selection;
  const second = again.length > 0 && wider !== options.selection ? await without(wider) : first;
  if (second) await pool(again, 1, signal, (defect) => examine(defect, 2, wider, second));
  const unfit = [...new Set([...first.unfit, ...(second?.unfit ?? [])])];
  return {
    qemu: { ...first.qemu, path: qemu },
    unfit,
    results: defects.flatMap(({ id }) => results.get(id) ?? []),
  };
}

/** What is seen without a defect. */
type Baseline = Pick<Campaign, 'qemu' | 'unfit'> & {
  /** The expectation file of the installed QEMU, made one of the defective: a run that ends early must not end at what is known. */
  expected?: string;
};

/** A copy of an expectation file that is for the defective build, whose source is the installed QEMU's. */
async function expectedOf(file: string, out: string): Promise<string> {
  const document = parseDocument(await readFile(file, 'utf8'));
  document.setIn(['build', 'package'], `Debian .*, ${WITH_DEFECTS}`);
  const path = join(out, 'expected.yaml');
  await writeFile(path, String(document));
  return path;
}

const escapedSoFar = (result: DefectResult | undefined) => result !== undefined && escaped(result);

/**
 * The variants that fail without a defect, on one of the two at least: what is known to fail now and then need not do so twice.
 * @throws Trouble unless both runs went as expected in every variant, or both did not: a build that differs by itself proves
 * nothing
 */
export function baseline(installed: RunResult, none: RunResult): string[] {
  const results = ({ variants }: RunResult) => new Map(variants.map((result) => [result.variant, result]));
  const [expected, found] = [results(installed), results(none)];
  const all = [...new Set([...expected.keys(), ...found.keys()])];
  const doubtful = all.find((id) => [expected, found].some((run) => run.get(id)?.verdict === 'inconclusive'));
  if (doubtful)
    throw new Trouble(
      `without a defect ${doubtful} is inconclusive`,
      'is the machine too busy? --jobs lowers the load',
    );
  const differs = all.find((id) => stateOf(expected.get(id)) !== stateOf(found.get(id)));
  if (differs) {
    const said = `${stateOf(found.get(differs))} on ${none.qemu.versionText}, ${stateOf(expected.get(differs))} on ${installed.qemu.versionText}`;
    throw new Trouble(`without a defect ${differs} is ${said}`, 'the build must behave as the installed QEMU');
  }
  return all.filter((id) => [expected, found].some((run) => run.get(id)?.verdict === 'fail'));
}

function stateOf(result: VariantResult | undefined): string {
  if (result === undefined) return 'not run';
  if (result.expectation?.state === 'stale') return 'stale';
  return isExpected(result) ? 'pass' : result.verdict;
}
