import { resolve } from 'node:path';
import type { Argv, CommandModule } from 'yargs';
import { nearest } from '../cases/index.js';
import { registry } from '../contract/index.js';
import { count, formatMs, printable, renderEvents, renderFailure } from '../report/index.js';
import { readRun, type StoredRun, timelineOf, type VariantResult } from '../runner/index.js';
import type { Event } from '../timeline/index.js';
import type { Context } from './io.js';
import { UsageError } from './usage-error.js';

const build = (argv: Argv) =>
  argv
    .positional('run', { type: 'string', demandOption: true, describe: "A run's folder, or its results.json" })
    .positional('variant', { type: 'string', describe: 'Variant id, or a part that only one has [list them all]' })
    .option('only', {
      array: true,
      string: true,
      requiresArg: true,
      describe: 'Events whose type begins so: wire, session.close, qmp; may be given several times',
    })
    .option('session', { number: true, requiresArg: true, describe: 'Events of this session of the peer' })
    .option('requirement', {
      string: true,
      requiresArg: true,
      describe: 'Events that the judgement of this requirement rests on',
    })
    .option('json', { boolean: true, default: false, describe: 'Events as JSON Lines' })
    .example('$0 show reports/2026-11-23T09-00-00', 'what came of each variant')
    .example('$0 show RUN leave.many --only session --only chardev', 'sessions and chardev of one');

type ShowArguments = ReturnType<ReturnType<typeof build>['parseSync']>;

/** `show`: a stored timeline, for people. */
export function showCommand({ io }: Context): CommandModule<object, ShowArguments> {
  return {
    command: 'show <run> [variant]',
    describe: "List a run's results, or print the timeline of one",
    builder: build,
    handler: async (argv) => {
      const run = await readRun(resolve(io.cwd, argv.run));
      const lines = argv.variant === undefined ? list(run) : await timeline(run, argv);
      io.stdout.write(lines.map((line) => `${line}\n`).join(''));
    },
  };
}

function list({ result }: StoredRun): string[] {
  return result.variants.map(({ variant, verdict, kind, reason, durationMs }) =>
    printable(
      `${(kind ?? verdict).padEnd(12)}  ${variant}  ${formatMs(durationMs)}${reason === undefined ? '' : `: ${reason}`}`,
    ),
  );
}

async function timeline(run: StoredRun, argv: ShowArguments): Promise<string[]> {
  const result = pick(run.result.variants, argv.variant!);
  const { events } = await timelineOf(run, result);
  const evidence = evidenceOf(result, argv.requirement);
  checkFilters(events, argv);
  const shown = events.filter((event) => wanted(event, argv, evidence));
  if (argv.json) return shown.map((event) => JSON.stringify(event));
  const marked = new Set(
    result.requirements.flatMap(({ judgement }) => (judgement.outcome === 'break' ? judgement.events : [])),
  );
  return [
    printable(`${result.variant}: ${result.kind ?? result.verdict}${result.reason ? `: ${result.reason}` : ''}`),
    ...(result.verdict === 'fail' ? renderFailure({ ...result, excerpt: [] }, registry) : []),
    '',
    ...renderEvents(shown, marked, events[0]?.t),
    '',
    `${shown.length} of ${count(events.length, 'event')}${marked.size > 0 ? '; > marks what a broken requirement rests on' : ''}`,
  ];
}

/** @throws UsageError when none, or more than one, is meant */
function pick(results: readonly VariantResult[], name: string): VariantResult {
  const exact = results.filter(({ variant }) => variant === name);
  const found = exact.length > 0 ? exact : results.filter(({ variant }) => variant.includes(name));
  const ids = [...new Set(found.map(({ variant }) => variant))];
  if (ids.length === 1) return found.find(({ verdict }) => verdict === 'fail') ?? found[0]!;
  if (ids.length > 1) {
    const more = ids.length > 3 ? `, and ${ids.length - 3} more` : '';
    throw new UsageError(
      'ERR_UNKNOWN_NAME',
      `${count(ids.length, 'variant')} of the run have "${name}" in their name`,
      `say which: ${ids.slice(0, 3).join(' ')}${more}`,
    );
  }
  const near = nearest(name, [...new Set(results.flatMap((result) => [result.case, result.variant]))]);
  throw new UsageError(
    'ERR_UNKNOWN_NAME',
    `the run has no variant "${name}"`,
    near.length > 0 ? `did you mean ${near.join(' or ')}?` : 'without one, show lists them',
  );
}

function evidenceOf(result: VariantResult, id: string | undefined): ReadonlySet<number> | undefined {
  if (id === undefined) return undefined;
  const found = result.requirements.find(({ requirement }) => requirement.toLowerCase() === id.toLowerCase());
  if (!found)
    throw new UsageError(
      'ERR_UNKNOWN_NAME',
      `${result.variant} was not judged by a requirement ${id}`,
      `it has ${result.requirements.map(({ requirement }) => requirement).join(' ')}`,
    );
  return new Set(found.judgement.events);
}

const isOf = ({ type }: Event, wish: string) =>
  type === wish || type.startsWith(`${wish}.`) || type.startsWith(`${wish}-`);

/** @throws UsageError for what picks nothing of a timeline, as a slip of the pen would */
function checkFilters(events: readonly Event[], { only, session }: ShowArguments): void {
  const types = [...new Set(events.map(({ type }) => type))].sort();
  for (const wish of only ?? [])
    if (!events.some((event) => isOf(event, wish))) {
      const near = nearest(wish, [...new Set(types.flatMap((type) => [type, type.split('.')[0]!]))]);
      throw new UsageError(
        'ERR_UNKNOWN_NAME',
        `no event of the timeline is of type ${wish}`,
        near.length > 0 ? `did you mean ${near.join(' or ')}?` : `it has ${types.join(' ')}`,
      );
    }
  const sessions = new Set(events.flatMap((event) => ('session' in event ? [event.session] : [])));
  if (session !== undefined && !sessions.has(session))
    throw new UsageError(
      'ERR_UNKNOWN_NAME',
      `the timeline has no session ${session}`,
      sessions.size > 0 ? `it has ${[...sessions].join(', ')}` : 'it has none',
    );
}

function wanted(event: Event, { only, session }: ShowArguments, evidence: ReadonlySet<number> | undefined): boolean {
  const types = only ?? [];
  return (
    (types.length === 0 || types.some((type) => isOf(event, type))) &&
    (session === undefined || ('session' in event && event.session === session)) &&
    (evidence === undefined || evidence.has(event.seq))
  );
}
