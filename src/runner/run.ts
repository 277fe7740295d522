import { createHash } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Variant } from '../cases/index.js';
import { CONTRACT_VERSION, type ContractLevel } from '../contract/index.js';
import { type GuestFiles, guestInitramfs } from '../guest/index.js';
import { host } from '../os/index.js';
import { DEFAULT_PROFILE, profiles } from '../peer/index.js';
import { type AccelChoice, haltBios, identify, type QemuFacts, type QemuIdentity, Workspace } from '../qemu/index.js';
import type { Ms } from '../timeline/index.js';
import { type Environment, execute, type Job, resultOf, skipped, TIMELINES } from './execute.js';
import type { Expectations } from './expectations.js';
import { pool } from './pool.js';
import type { Reporter, RunResult, Summary, VariantResult } from './result.js';
import { recordedDurations, type Shard, shardOf } from './shard.js';
import { EXPECTED } from './stored-run.js';

/** Variants side by side per core: nearly all of a variant is waiting for real timers. */
const JOBS_PER_CORE = 8;

/** Node's timers take no more: 24 days. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** How many variants run side by side unless told otherwise. */
export function defaultJobs(): number {
  return JOBS_PER_CORE * availableParallelism();
}

/** What is run, on what, and who is told; what is left out is as the command line has it. */
export interface RunOptions {
  variants: readonly Variant[];
  /** Which of the variants that dry runs discover are run; without it all. */
  wanted?(variant: Variant): boolean;
  /** Variants that this QEMU cannot run, with the reason. */
  skipped?: readonly { variant: Variant; reason: string }[];
  facts: QemuFacts;
  /** Which build the binary is; without it the file is looked at meanwhile. */
  identity?: QemuIdentity;
  /** What is known to fail; without it every failure counts. */
  expectations?: Expectations | undefined;
  /** Name of the profile for cases that do not ask for one; DEFAULT_PROFILE. */
  profile?: string;
  /** What variants with a guest of their own boot; needed where there are such. */
  guest?: GuestFiles;
  /** `auto` */
  accel?: AccelChoice;
  /** Variants side by side; defaultJobs(). */
  jobs?: number;
  /** Once. */
  repeat?: number;
  /** Requirements from this level up fail a variant; `must`. */
  level?: ContractLevel;
  /** Ends the run at the first failure that is not expected. */
  failFast?: boolean;
  /** Runs everything again and again, until a failure that is not expected or the end of `maxTimeMs`. */
  repeatUntilFail?: boolean;
  /** No variant begins later than this after the run's beginning; those that run come to their end. */
  maxTimeMs?: Ms | undefined;
  /** Existing or creatable folder for timelines and reports. */
  out: string;
  reporters?: readonly Reporter[];
  /** Ends the run early: running variants are cut short and not reported, reports are written. */
  signal?: AbortSignal;
  /** What the result says was selected; the variants by their ids. */
  selection?: RunResult['selection'];
  /** The program that runs them. */
  tester: RunResult['tester'];
  /** The command that runs a variant again; `vhost-reconnect run ID`. */
  reproduce?(variant: Variant): string;
}

/** Runs the variants and tells the reporters. @throws RunOptionError, or what is a bug of the tester or trouble with the output folder */
export async function run(given: RunOptions): Promise<RunResult> {
  const options = withDefaults(given);
  const { facts, out, reporters, signal, selection, tester } = options;
  const startedAt = new Date();
  const enough = new AbortController();
  const end = AbortSignal.any([signal, enough.signal]);
  // Every running variant listens for the end.
  setMaxListeners(options.jobs + 10, end);
  await mkdir(join(out, TIMELINES), { recursive: true });
  const { path, version, versionText, binary } = facts;
  const about = Promise.all([options.identity ?? identify(binary), host()]);
  const known = options.expectations;
  const expectations = known && {
    file: known.file,
    ...(known.text === undefined ? {} : { sha256: createHash('sha256').update(known.text).digest('hex') }),
  };
  if (known?.text !== undefined) await writeFile(join(out, EXPECTED), known.text);
  const skips = options.skipped ?? [];
  const planned = plan(options.variants, options.repeat);
  const { jobs, unfit } = shared(planned, skips, selection.shard);
  // Every place in the results that is known of, by the name of its timeline, and the results that are there.
  const places = new Map<string, { place: number; id: string }>();
  const results = new Map<string, VariantResult>();
  const late = new AbortController();
  let rounds = 0;
  const workspace = await Workspace.create();
  const timer =
    options.maxTimeMs === undefined
      ? undefined
      : setTimeout(() => late.abort(), Math.min(options.maxTimeMs, MAX_TIMER_MS));
  try {
    const biosPath = workspace.file('halt.bin');
    await writeFile(biosPath, haltBios());
    const guest = options.guest && { kernel: options.guest.kernel, initrd: workspace.file('initrd') };
    if (guest) await writeFile(guest.initrd, await guestInitramfs(options.guest!));
    const environment: Environment = {
      facts,
      profile: options.profile,
      accel: options.accel,
      biosPath,
      ...(guest && { guest }),
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
        qemu: { path, version, versionText },
        ...(expectations && { expectations }),
        out,
      });
    const report = (name: string, result: VariantResult) => {
      results.set(name, result);
      for (const reporter of reporters) reporter.onVariantEnd?.(result);
    };
    for (const { variant, reason, place } of unfit) {
      const name = fileName(variant.id);
      places.set(name, { place, id: variant.id });
      report(name, skipped(resultOf(variant, place, environment), reason));
    }
    for (const { name, place, variant } of jobs) places.set(name, { place, id: variant.id });
    const named: ReadonlySet<string> = new Set(options.variants.map(({ id }) => id));
    const perform = async (job: PlannedJob, add: (jobs: readonly PlannedJob[]) => void) => {
      const { variant, name } = job;
      for (const reporter of reporters) reporter.onVariantStart?.({ id: variant.id });
      const { result: outcome, store, discovered } = await execute(job, environment);
      const expectation = options.expectations?.judge(variant, outcome, options.level);
      const result = { ...outcome, ...(expectation && { expectation }) };
      // One that was selected by its whole id runs anyway.
      const wanted = discovered.filter((one) => !named.has(one.id) && (options.wanted?.(one) ?? true));
      const more = furtherJobs(job, wanted);
      for (const one of more) places.set(one.name, { place: one.place, id: one.variant.id });
      if (more.length > 0) for (const reporter of reporters) reporter.onDiscovery?.({ variants: more.length });
      add(more);
      // Cut short, it says nothing; only what QEMU did before that counts.
      if (!end.aborted || result.verdict === 'fail') {
        await store();
        report(name, result);
      }
      const stop = options.failFast || options.repeatUntilFail;
      if (stop && result.verdict === 'fail' && !isExpected(result)) enough.abort();
    };
    const begin = AbortSignal.any([end, late.signal]);
    // A guest that boots, and runs, has a core for itself.
    const width = {
      all: options.jobs,
      heavy: availableParallelism(),
      isHeavy: ({ variant }: PlannedJob) => variant.driver === 'guest',
    };
    do {
      rounds++;
      if (rounds > 1) for (const reporter of reporters) reporter.onDiscovery?.({ variants: jobs.length });
      await pool(jobs, width, begin, perform, soonest);
    } while (options.repeatUntilFail && jobs.length > 0 && !begin.aborted);
  } finally {
    clearTimeout(timer);
    await workspace.close();
  }
  const inOrder = [...places].sort(([, a], [, b]) => a.place - b.place);
  const variants = inOrder.flatMap(([name]) => results.get(name) ?? []);
  const notRun = inOrder.filter(([name]) => !results.has(name)).map(([, { id }]) => id);
  const [identity, machine] = await about;
  const summary = summarise(variants);
  const result: RunResult = {
    schema: 2,
    tester,
    contract: { version: CONTRACT_VERSION },
    startedAt: startedAt.toISOString(),
    durationMs: Date.now() - startedAt.getTime(),
    qemu: { path, version, versionText, binary, ...identity },
    hosts: [machine],
    ...(expectations && { expectations }),
    selection,
    plan: {
      variants: planned.length + skips.length,
      sha256: checksum([...options.variants, ...skips.map(({ variant }) => variant)]),
    },
    summary,
    variants,
    notRun,
    interrupted: signal.aborted,
    ...(options.repeatUntilFail && { rounds }),
    exitCode: exitCode({ summary, notRun, interrupted: signal.aborted }),
  };
  for (const reporter of reporters) await reporter.onEnd?.(result, out);
  return result;
}

/** An option of a run that makes no sense, and what does. */
export class RunOptionError extends Error {
  override readonly name = 'RunOptionError';
  readonly code = 'ERR_RUN_OPTION';

  constructor(
    message: string,
    readonly hint: string,
  ) {
    super(message);
  }
}

function withDefaults(given: RunOptions) {
  const options = {
    profile: DEFAULT_PROFILE,
    accel: 'auto' as const,
    jobs: defaultJobs(),
    repeat: 1,
    level: 'must' as const,
    reporters: [],
    signal: new AbortController().signal,
    reproduce: ({ id }: Variant) => `vhost-reconnect run '${id}'`,
    ...given,
  };
  const { variants, profile, accel, repeat, jobs, level } = options;
  const guest = variants.find(({ driver }) => driver === 'guest');
  if (guest && !options.guest) throw new RunOptionError(`${guest.id} boots a guest`, 'give its files: guest');
  if (!(profile in profiles))
    throw new RunOptionError(`no profile is called ${profile}`, `one of ${Object.keys(profiles).join(', ')}`);
  for (const [name, value] of Object.entries({ jobs, repeat }))
    if (!Number.isSafeInteger(value) || value < 1)
      throw new RunOptionError(`${name} is ${value}`, 'a whole number from 1 up');
  const selection: RunResult['selection'] = {
    selectors: variants.map(({ id }) => id),
    roles: [...new Set(variants.map(({ role }) => role))],
    machines: [...new Set(variants.map(({ machine }) => machine))],
    profiles: [profile],
    accel,
    repeat,
    jobs,
    selection: 'full',
    level,
  };
  return { selection, ...options };
}

interface PlannedJob extends Job {
  /** What follows the variant's id in its name: which repetition it is. */
  suffix: string;
}

function plan(variants: readonly Variant[], repeat: number): PlannedJob[] {
  return Array.from({ length: repeat }, (_, round) => {
    const suffix = repeat > 1 ? `.${round + 1}` : '';
    return variants.map((variant) => ({ variant, suffix, name: `${fileName(variant.id)}${suffix}` }));
  })
    .flat()
    .map((job, place) => ({ ...job, place }));
}

/** Two catalogues, or two editions of a case, that would not run the same have different ones. */
function checksum(variants: readonly Variant[]): string {
  const text = JSON.stringify(variants, (_, value) => (typeof value === 'bigint' ? `${value}` : value));
  return createHash('sha256').update(text).digest('hex');
}

/** Of a whole run the part that is to be run here. What cannot be run costs nothing, and has its place behind the rest. */
function shared(
  planned: readonly PlannedJob[],
  skipped: readonly { variant: Variant; reason: string }[],
  shard: Shard | undefined,
) {
  const unfit = skipped.map((one, i) => ({ ...one, place: planned.length + i }));
  if (!shard) return { jobs: planned, unfit };
  const cost = recordedDurations();
  return {
    jobs: shardOf(planned, ({ variant }) => cost(variant), shard),
    unfit: unfit.filter((_, i) => i % shard.of === shard.index - 1),
  };
}

/** What a dry run discovered stands right behind it. */
function furtherJobs({ place, suffix }: PlannedJob, discovered: readonly Variant[]): PlannedJob[] {
  return discovered.map((variant, i) => ({
    variant,
    suffix,
    name: `${fileName(variant.id)}${suffix}`,
    place: place + (i + 1) / (discovered.length + 1),
  }));
}

/** Dry runs first, as nobody knows yet what they bring; then what waits longest. */
function soonest({ variant: a }: PlannedJob, { variant: b }: PlannedJob): number {
  return Number(b.discovery !== undefined) - Number(a.discovery !== undefined) || b.minimumMs - a.minimumMs;
}

/**
 * A variant's id as a file name that every file system and CI artefact store takes: `a.b[c=1,d=2]` -> `a.b--c-1--d-2`.
 * Values that differ in what no such name can have are told apart by a checksum: `a.b[c=1:2]` -> `a.b--c-1-2.` and 8 digits.
 */
export function fileName(id: string): string {
  const name = id
    .replace(/\]$/, '')
    .replace(/[[,]/g, '--')
    .replace(/[^\w.-]/g, '-');
  return /[^\w.,=[\]-]/.test(id) ? `${name}.${createHash('sha256').update(id).digest('hex').slice(0, 8)}` : name;
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

/**
 * 130 interrupted; 3 crashed or hung unexpectedly; 1 failed unexpectedly, or a stale expectation; 4 inconclusive results
 * remain, or variants that were not run; 0 all as expected.
 */
export function exitCode({
  summary,
  notRun,
  interrupted,
}: Pick<RunResult, 'summary' | 'notRun' | 'interrupted'>): number {
  if (interrupted) return 130;
  if (summary.crash > 0 || summary.hang > 0) return 3;
  if (summary.violation > 0 || summary.stale > 0) return 1;
  if (summary.inconclusive > 0 || notRun.length > 0) return 4;
  return 0;
}
