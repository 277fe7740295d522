import { resolve } from 'node:path';
import type { Argv, CommandModule } from 'yargs';
import { missing, picks, select, type Variant } from '../cases/index.js';
import { type ContractLevel, registry } from '../contract/index.js';
import { DEFAULT_PROFILE } from '../peer/index.js';
import { findQemu, probe, type QemuFacts } from '../qemu/index.js';
import { packingOf, writeBundle } from '../report/index.js';
import { defaultJobs, isExpected, type RunResult, readRun, run } from '../runner/index.js';
import { allVariants, isWanted, readCatalogue, selectVariants, type Wish, wishOf } from './catalogue.js';
import { fileToUpdate, readExpectations, updateFile } from './expected.js';
import { findGuest, NO_GUEST_HINT } from './guest.js';
import { type Context, EXIT, type Io } from './io.js';
import { type LogLevel, logReporter, openLog } from './log.js';
import { runOptions, selectionOptions, withSettings } from './options.js';
import { isFileTrouble, makeOut, unwritable } from './out.js';
import { tester } from './package.js';
import { reporters } from './reporters.js';
import { UsageError } from './usage-error.js';

const build = (argv: Argv) =>
  runOptions(selectionOptions(argv, 'quick; full where selectors are given'))
    .example('$0 run', 'the quick selection, with the QEMU that is installed')
    .example('$0 run server --qemu ./my-qemu', 'one theme against a build of your own')
    .example("$0 run 'leave.many[role=server]'", 'one variant');

export type RunArguments = ReturnType<ReturnType<typeof build>['parseSync']> & { log?: string; logLevel?: LogLevel };

/** `run`: the main job. */
export function runCommand({ io, settings, exit }: Context): CommandModule<object, RunArguments> {
  return {
    command: 'run [selector..]',
    describe: 'Run cases against a QEMU and judge what it does',
    // yargs gives an option with a dash its camel-case twin only where it parses.
    builder: (argv: Argv) =>
      build(
        withSettings(
          argv,
          settings,
          'role',
          'machine',
          'selection',
          'level',
          'cases',
          'qemu',
          'accel',
          'profile',
          'jobs',
          'repeat',
          'expected',
          'out',
        ),
      ) as unknown as Argv<RunArguments>,
    handler: async (argv) => exit(await execute(io, argv)),
  };
}

async function execute(io: Io, argv: RunArguments): Promise<number> {
  const log = openLog(io, argv.logLevel ?? (argv.log === undefined ? 'warn' : 'info'), argv.log);
  const cases = await readCatalogue(io, argv.cases);
  if (argv.bundle !== undefined) packingOf(argv.bundle);
  if (argv.updateExpected && argv.shard)
    throw new UsageError(
      'ERR_USAGE',
      'a shard updates no expectations',
      'the others would overwrite them; run it in one',
    );
  const before = argv.rerunFailed === undefined ? undefined : (await readRun(resolve(io.cwd, argv.rerunFailed))).result;
  // Throws for a selector that names nothing, which openOf would take for one that has nothing open.
  if (before) select(allVariants(cases), argv.selector);
  const again = before && openOf(before, argv.selector);
  if (again?.length === 0) {
    io.stderr.write('nothing to run again: all that is selected of that run passed, or failed as expected\n');
    return EXIT.ok;
  }
  // What is run again is run as it was; what a dry run discovers is wanted if it was.
  const wish = before ? { ...before.selection, machines: before.selection.machines as Wish['machines'] } : wishOf(argv);
  const variants = selectVariants(cases, again ? { ...wish, selectors: again } : wish);
  const path = await findQemu(argv.qemu);
  const { signal, end } = interruption(io);
  try {
    const facts = await probe(path);
    log.info({ qemu: facts.path, version: facts.versionText, selected: variants.length }, 'QEMU probed');
    const guest = variants.some(({ driver }) => driver === 'guest') ? findGuest(io) : undefined;
    const plan = planFor(variants, facts, guest !== undefined);
    const update = argv.updateExpected ? await fileToUpdate(io, argv.expected) : undefined;
    const expectations =
      update && update.text === undefined ? undefined : await readExpectations(io, argv.expected, facts, cases);
    // Only now: what is refused leaves no empty folder.
    const out = makeOut(resolve(io.cwd, argv.out));
    const profile = argv.profile ?? before?.selection.profiles[0] ?? DEFAULT_PROFILE;
    const jobs = argv.jobs ?? defaultJobs();
    const { accel, repeat } = argv;
    const level = before?.selection.level ?? argv.level;
    const { selectors, roles, machines, selection } = wish;
    const result = await run({
      ...plan,
      wanted: (variant) => isWanted(variant, wish),
      facts,
      ...(guest && { guest }),
      expectations,
      profile,
      accel,
      jobs,
      repeat,
      level,
      failFast: argv.failFast ?? false,
      repeatUntilFail: argv.repeatUntilFail ?? false,
      maxTimeMs: argv.maxTime,
      out,
      reporters: [logReporter(log), ...reporters(io, argv.quiet)],
      signal,
      selection: {
        selectors: again ?? [...selectors],
        roles: [...roles],
        machines: machines === 'usual' ? [...new Set(variants.map(({ machine }) => machine))] : [...machines],
        profiles: [profile],
        accel,
        repeat,
        jobs,
        selection,
        level,
        ...(argv.shard && { shard: argv.shard }),
      },
      tester,
      reproduce: ({ id }) => command(['run', id, ...reproduction(argv, facts, profile, level)]),
    }).catch((error: unknown) => {
      throw isFileTrouble(error, out) ? unwritable(out, error) : error;
    });
    if (argv.bundle !== undefined) await writeBundle({ dir: out, result }, resolve(io.cwd, argv.bundle), registry);
    if (update) io.stderr.write(await updateFile(update, result, facts, cases));
    return result.exitCode;
  } finally {
    end();
  }
}

/**
 * The variants of a run that ought to be run again: failed or stale against expectation, inconclusive, or not run; of these what
 * the selectors pick, if there are any.
 */
function openOf({ variants, notRun }: RunResult, selectors: readonly string[]): string[] {
  const open = variants.filter(
    (one) =>
      one.verdict === 'inconclusive' ||
      (one.verdict === 'fail' && !isExpected(one)) ||
      one.expectation?.state === 'stale',
  );
  const ids = new Set([...open.map(({ variant }) => variant), ...notRun]);
  const wanted = (id: string) => selectors.some((selector) => picks(selector, { id, caseId: id.replace(/\[.*/, '') }));
  return [...ids].filter((id) => selectors.length === 0 || wanted(id));
}

/** Options without which a variant would run otherwise. */
function reproduction(argv: RunArguments, facts: QemuFacts, profile: string, level: ContractLevel): string[] {
  return [
    ...['--qemu', facts.path],
    ...(profile === DEFAULT_PROFILE ? [] : ['--profile', profile]),
    ...(argv.accel === 'auto' ? [] : ['--accel', argv.accel]),
    ...(level === 'must' ? [] : ['--level', level]),
    ...argv.cases.flatMap((dir) => ['--cases', dir]),
    ...(argv.expected === undefined ? [] : ['--expected', argv.expected]),
  ];
}

/** A command line for a shell. */
function command(words: readonly string[]): string {
  const quote = (word: string) => (/^[\w./:=@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
  return [tester.name, ...words].map(quote).join(' ');
}

function planFor(selected: readonly Variant[], facts: QemuFacts, hasGuest: boolean) {
  const guestless = (variant: Variant) =>
    variant.driver === 'guest' && !hasGuest ? `there is no guest to boot: ${NO_GUEST_HINT}` : undefined;
  const judged = selected.map((variant) => ({ variant, reason: missing(variant, facts) ?? guestless(variant) }));
  const variants = judged.filter(({ reason }) => reason === undefined).map(({ variant }) => variant);
  const skipped = judged.flatMap(({ variant, reason }) => (reason === undefined ? [] : [{ variant, reason }]));
  if (variants.length === 0)
    throw new UsageError(
      'ERR_NOTHING_RUNS',
      `${facts.path} can run none of the ${skipped.length} selected variants: ${skipped[0]?.reason}`,
      'choose another QEMU, machine or case',
    );
  return { variants, skipped };
}

/** The first interrupt ends the run in order, with its reports; the second ends the process. */
function interruption(io: Io): { signal: AbortSignal; end(): void } {
  const controller = new AbortController();
  const end = io.onInterrupt(() => {
    if (controller.signal.aborted) return io.exitNow(EXIT.interrupted);
    io.stderr.write('\ninterrupted: stopping and writing reports; once more to stop at once\n');
    controller.abort();
  });
  return { signal: controller.signal, end };
}
