import { setMaxListeners } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Variant } from '../cases/index.js';
import type { ContractLevel } from '../contract/index.js';
import { type AccelChoice, haltBios, type QemuFacts, Workspace } from '../qemu/index.js';
import { type Environment, execute, resultOf, skipped, TIMELINES } from './execute.js';
import type { Expectations } from './expectations.js';
import { pool } from './pool.js';
import type { Reporter, RunResult, Summary, VariantResult } from './result.js';

/** Variants side by side per core: nearly all of a variant is waiting for real timers. */
const JOBS_PER_CORE = 8;

/** How many variants run side by side unless told otherwise. */
export function defaultJobs(): number {
  return JOBS_PER_CORE * availableParallelism();
}

export interface RunOptions {
  variants: readonly Variant[];
  /** Which of the variants that dry runs discover are run; without it all. */
  wanted?(variant: Variant): boolean;
  /** Variants that this QEMU cannot run, with the reason. */
  skipped?: readonly { variant: Variant; reason: string }[];
  facts: QemuFacts;
  /** What is known to fail; without it every failure counts. */
  expectations?: Expectations | undefined;
  /** Name of the profile for cases that do not ask for one. */
  profile: string;
  accel: AccelChoice;
  jobs: number;
  repeat: number;
  /** Requirements from this level up fail a variant. */
  level: ContractLevel;
  /** Ends the run at the first failure that is not expected. */
  failFast?: boolean;
  /** Existing or creatable folder for timelines and reports. */
  out: string;
  reporters: readonly Reporter[];
  /** Ends the run early: running variants are cut short and not reported, reports are written. */
  signal: AbortSignal;
  selection: RunResult['selection'];
  tester: RunResult['tester'];
  /** The command that runs a variant again. */
  reproduce(variant: Variant): string;
}

/** Runs the variants and tells the reporters. @throws what is a bug of the tester or trouble with the output folder */
export async function run(options: RunOptions): Promise<RunResult> {
  const { facts, out, reporters, signal, selection, tester } = options;
  const startedAt = new Date();
  const enough = new AbortController();
  const end = AbortSignal.any([signal, enough.signal]);
  // Every running variant listens for the end.
  setMaxListeners(options.jobs + 10, end);
  await mkdir(join(out, TIMELINES), { recursive: true });
  const qemu = { path: facts.path, version: facts.version, versionText: facts.versionText };
  const expectations = options.expectations && { file: options.expectations.file };
  const jobs = plan(options.variants, options.repeat);
  const unfit = options.skipped ?? [];
  let found = 0;
  const results: { order: number; result: VariantResult }[] = [];
  const workspace = await Workspace.create();
  try {
    const biosPath = workspace.file('halt.bin');
    await writeFile(biosPath, haltBios());
    const environment: Environment = {
      facts,
      profile: options.profile,
      accel: options.accel,
      biosPath,
      makeDir: () => workspace.makeDir(),
      out,
      testerVersion: tester.version,
      level: options.level,
      signal: end,
      reproduce: options.reproduce,
    };
    for (const reporter of reporters)
      reporter.onStart?.({
        total: jobs.length + unfit.length,
        jobs: options.jobs,
        qemu,
        ...(expectations && { expectations }),
        out,
      });
    const report = (order: number, result: VariantResult) => {
      results.push({ order, result });
      for (const reporter of reporters) reporter.onVariantEnd?.(result);
    };
    unfit.forEach(({ variant, reason }, i) => {
      report(jobs.length + i, skipped(resultOf(variant, environment), reason));
    });
    const perform = async (job: Job, add: (jobs: readonly Job[]) => void) => {
      const { variant, name, order } = job;
      for (const reporter of reporters) reporter.onVariantStart?.({ id: variant.id });
      const { result: outcome, discovered } = await execute(variant, name, environment);
      const expectation = options.expectations?.judge(variant, outcome, options.level);
      const result = { ...outcome, ...(expectation && { expectation }) };
      const more = furtherJobs(
        job,
        discovered.filter((one) => options.wanted?.(one) ?? true),
      );
      found += more.length;
      if (more.length > 0) for (const reporter of reporters) reporter.onDiscovery?.({ variants: more.length });
      add(more);
      // Cut short, it says nothing; only what QEMU did before that counts.
      if (!end.aborted || result.verdict === 'fail') report(order, result);
      if (options.failFast && result.verdict === 'fail' && expectation?.state !== 'met') enough.abort();
    };
    await pool(jobs, options.jobs, end, perform, soonest);
  } finally {
    await workspace.close();
  }
  const variants = results.toSorted((a, b) => a.order - b.order).map(({ result }) => result);
  const summary = summarise(variants);
  const result: RunResult = {
    schema: 1,
    tester,
    startedAt: startedAt.toISOString(),
    durationMs: Date.now() - startedAt.getTime(),
    qemu,
    ...(expectations && { expectations }),
    selection,
    summary,
    variants,
    notRun: jobs.length + found + unfit.length - variants.length,
    interrupted: signal.aborted,
    exitCode: exitCode(summary, signal.aborted),
  };
  for (const reporter of reporters) await reporter.onEnd?.(result, out);
  return result;
}

interface Job {
  variant: Variant;
  /** Of its timeline file. */
  name: string;
  /** What follows the variant's id in it: which repetition it is. */
  suffix: string;
  /** Its place in the results: the catalogue's order, not the order of running. */
  order: number;
}

function plan(variants: readonly Variant[], repeat: number): Job[] {
  return Array.from({ length: repeat }, (_, round) => {
    const suffix = repeat > 1 ? `.${round + 1}` : '';
    return variants.map((variant) => ({ variant, suffix, name: `${fileName(variant.id)}${suffix}` }));
  })
    .flat()
    .map((job, order) => ({ ...job, order }));
}

/** What a dry run discovered stands right behind it. */
function furtherJobs({ order, suffix }: Job, discovered: readonly Variant[]): Job[] {
  return discovered.map((variant, i) => ({
    variant,
    suffix,
    name: `${fileName(variant.id)}${suffix}`,
    order: order + (i + 1) / (discovered.length + 1),
  }));
}

/** Dry runs first, as nobody knows yet what they bring; then what waits longest. */
function soonest({ variant: a }: Job, { variant: b }: Job): number {
  return Number(b.discovery !== undefined) - Number(a.discovery !== undefined) || b.minimumMs - a.minimumMs;
}

/** A variant's id as a file name that every file system and CI artefact store takes: `a.b[c=1,d=2]` -> `a.b--c-1--d-2`. */
export function fileName(id: string): string {
  return id
    .replace(/\]$/, '')
    .replace(/[[,]/g, '--')
    .replace(/[^\w.-]/g, '-');
}

/** Counts of results. */
export function summarise(results: readonly VariantResult[]): Summary {
  const count = (test: (result: VariantResult) => boolean) => results.filter(test).length;
  return {
    total: results.length,
    pass: count(({ verdict }) => verdict === 'pass'),
    fail: count(({ verdict }) => verdict === 'fail'),
    inconclusive: count(({ verdict }) => verdict === 'inconclusive'),
    skip: count(({ verdict }) => verdict === 'skip'),
    expected: count(isExpected),
    stale: count(({ expectation }) => expectation?.state === 'stale'),
    crash: count((result) => result.kind === 'crash' && !isExpected(result)),
    hang: count((result) => result.kind === 'hang' && !isExpected(result)),
    violation: count((result) => result.kind === 'violation' && !isExpected(result)),
  };
}

/** Whether a variant failed in a way that is known. A stale entry is told as such: what it expects did break, in part. */
export function isExpected({ verdict, expectation }: Pick<VariantResult, 'verdict' | 'expectation'>): boolean {
  return verdict === 'fail' && expectation !== undefined && expectation.state !== 'exceeded';
}

/** 130 interrupted; 3 crashed or hung unexpectedly; 1 failed unexpectedly, or a stale expectation; 4 inconclusive results remain; 0 all as expected. */
export function exitCode(summary: Summary, interrupted: boolean): number {
  if (interrupted) return 130;
  if (summary.crash > 0 || summary.hang > 0) return 3;
  if (summary.violation > 0 || summary.stale > 0) return 1;
  if (summary.inconclusive > 0) return 4;
  return 0;
}
