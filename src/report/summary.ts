import { join } from 'node:path';
import type { Requirement } from '../contract/index.js';
import { isExpected, type RunResult, type VariantResult } from '../runner/index.js';
import { renderEvents } from './describe.js';
import { expectationText } from './expectation.js';
import { alsoSeen, breaksOf, type FailureGroup, groupFailures, requirementOf } from './failure.js';
import { count, formatMs, printable, wrap } from './format.js';
import { groupBy } from './group.js';
import { renderOutages } from './outages.js';
import type { Paint } from './paint.js';

const WIDTH = 110;
/** More ids than this are left to results.json. */
const MAX_IDS = 10;
/** The end of an excerpt is nearest to the failure. */
const MAX_EVENTS = 24;

/** Counts by verdict as one phrase: `98 pass, 3 fail (1 crash, 1 violation, 1 expected), 1 inconclusive, 4 skip`. */
export function countsOf({ summary: s }: Pick<RunResult, 'summary'>): string {
  const kinds = (['crash', 'hang', 'violation', 'expected'] as const)
    .filter((kind) => s[kind] > 0)
    .map((kind) => `${s[kind]} ${kind}`);
  const how = s.expected === s.fail ? 'all expected' : kinds.join(', ');
  return [
    `${s.pass} pass`,
    `${s.fail} fail${s.fail > 0 ? ` (${how})` : ''}`,
    ...(s.stale > 0 ? [`${s.stale} stale`] : []),
    ...(s.inconclusive > 0 ? [`${s.inconclusive} inconclusive`] : []),
    ...(s.skip > 0 ? [`${s.skip} skip`] : []),
  ].join(', ');
}

/** The verdict in one line; what is worst decides. */
export function banner({ summary: s, interrupted, notRun }: RunResult, paint: Paint): string {
  const ran = s.total - s.skip;
  const say = (colour: Paint['bad'], word: string, rest: string) => `${paint.bold(colour(word))}  ${rest}`;
  const cut = interrupted
    ? '; the run was interrupted'
    : notRun.length > 0
      ? `; ${notRun.length} were not run after that`
      : '';
  const of = `of ${count(ran, 'variant')}${cut}`;
  if (s.crash > 0) return say(paint.bad, 'CRASH', `QEMU died in ${s.crash} ${of}`);
  if (s.hang > 0) return say(paint.bad, 'HANG', `QEMU hung in ${s.hang} ${of}`);
  if (s.violation > 0) return say(paint.bad, 'FAIL', `QEMU broke the reconnect contract in ${s.violation} ${of}`);
  if (s.stale > 0) return say(paint.bad, 'STALE', `QEMU did better than is expected in ${s.stale} ${of}`);
  if (interrupted) return say(paint.warn, 'INTERRUPTED', `no failure in the ${count(ran, 'variant')} that had ended`);
  if (s.inconclusive > 0) return say(paint.warn, 'INCONCLUSIVE', `the tester could not judge ${s.inconclusive} ${of}`);
  if (notRun.length > 0)
    return say(
      paint.warn,
      'INCOMPLETE',
      `no failure in the ${count(ran, 'variant')} that ran; ${notRun.length} were not run`,
    );
  if (s.total === 0) return say(paint.warn, 'NOTHING RAN', 'no variant falls to this shard');
  if (ran === 0)
    return say(
      paint.warn,
      'NOTHING RAN',
      s.skip === 1 ? 'the one variant was skipped' : `all ${s.skip} variants were skipped`,
    );
  if (s.expected > 0)
    return say(
      paint.good,
      'AS EXPECTED',
      `QEMU kept the reconnect contract in ${s.pass} of ${count(ran, 'variant')}, and failed in the rest as is known of it`,
    );
  return say(
    paint.good,
    'PASS',
    `QEMU kept the reconnect contract in ${ran === 1 ? 'the one variant' : `all ${ran} variants`}`,
  );
}

/** What one failed variant broke, with the evidence. */
export function renderFailure(result: VariantResult, contract: readonly Requirement[]): string[] {
  const breaks = breaksOf(result);
  const lines = breaks.flatMap(({ requirement: id, judgement }) => {
    const requirement = requirementOf(contract, id);
    return [
      `${id} ${requirement ? `(${requirement.level}) ${requirement.title}` : ''}`.trimEnd(),
      ...(requirement ? block('requires', requirement.sentence) : []),
      ...(requirement ? block('allowed', requirement.allowed) : []),
      ...block('seen', judgement.seen),
      ...alsoSeen(judgement).flatMap((words) => block('also', words)),
    ];
  });
  if (result.expectation?.state === 'exceeded') lines.push(expectationText(result) ?? '');
  if (breaks.length === 0 && result.reason) lines.push(...block('reason', result.reason));
  const marked = new Set(breaks.flatMap(({ judgement }) => judgement.events));
  const events = result.excerpt.slice(-MAX_EVENTS);
  if (events.length > 0) lines.push('events (> = the verdict rests on it)', ...renderEvents(events, marked));
  return lines.map(printable);
}

function block(label: string, value: string): string[] {
  return wrap(value, WIDTH - 16).map((line, i) => `  ${(i === 0 ? label : '').padEnd(10)}${line}`);
}

function renderGroup(group: FailureGroup, contract: readonly Requirement[], paint: Paint, out: string): string[] {
  const [first, ...others] = group.results as [VariantResult, ...VariantResult[]];
  const shown = others.slice(0, MAX_IDS).map(({ variant }) => `    ${variant}`);
  return [
    '',
    `${paint.bad(group.kind.toUpperCase())}  ${paint.bold(first.variant)}`,
    `  ${first.title}`,
    ...renderFailure(first, contract).map((line) => `  ${line}`),
    ...whereabouts(first, paint, out),
    ...(others.length > 0 ? [`  the same in ${count(others.length, 'more variant')}:`, ...shown] : []),
    ...(others.length > MAX_IDS ? [`    ... and ${others.length - MAX_IDS} more, see results.json`] : []),
  ];
}

/** What the expectation file has to do with it: stale entries, then failures that are known, one a line. */
function renderExpectations(results: readonly VariantResult[], paint: Paint): string[] {
  const lines = (title: string, some: readonly VariantResult[]) =>
    some.map((result) => `${title}  ${result.variant}: ${printable(expectationText(result) ?? '')}`);
  const stale = results.filter(({ expectation }) => expectation?.state === 'stale');
  const known = results.filter((result) => isExpected(result) && !stale.includes(result));
  return [lines(paint.bad('STALE'), stale), lines(paint.dim('EXPECTED'), known)].flatMap((some) =>
    some.length > 0 ? ['', ...some] : [],
  );
}

/** How to run a variant again, and what there is to read about it. */
const whereabouts = ({ reproduce, timeline }: VariantResult, paint: Paint, out: string): string[] => [
  `  ${paint.dim('again')}     ${reproduce}`,
  ...(timeline ? [`  ${paint.dim('timeline')}  ${join(out, timeline)}`] : []),
];

/** Variants without a verdict on QEMU, by reason. @param out for those that ran: the folder of their timelines */
function renderReasons(title: string, results: readonly VariantResult[], paint: Paint, out?: string): string[] {
  const reasons = groupBy(results, ({ reason }) => reason ?? 'no reason given');
  return [...reasons].flatMap(([reason, list]) => [
    '',
    `${paint.warn(title)}  ${printable(reason)}`,
    ...list.slice(0, MAX_IDS).map(({ variant }) => `    ${variant}`),
    ...(list.length > MAX_IDS ? [`    ... and ${list.length - MAX_IDS} more, see results.json`] : []),
    ...(out !== undefined && list[0] ? whereabouts(list[0], paint, out) : []),
  ]);
}

/**
 * The whole run for people: verdict first, then counts, failures with their evidence, stale expectations, known failures,
 * what could not be judged, what was skipped, the outage figures, where the rest is, and the verdict again.
 * @param out the folder that the reports and timelines are in
 */
export function renderSummary(result: RunResult, out: string, contract: readonly Requirement[], paint: Paint): string {
  const of = (verdict: VariantResult['verdict']) => result.variants.filter((one) => one.verdict === verdict);
  const outages = renderOutages(result.variants);
  return [
    banner(result, paint),
    `${countsOf(result)}; QEMU ${result.qemu.version} (${result.qemu.path}), ${formatMs(result.durationMs)}`,
    result.expectations ? `Known failures: ${result.expectations.file}` : 'Known failures: none',
    ...groupFailures(result.variants).flatMap((group) => renderGroup(group, contract, paint, out)),
    ...renderExpectations(result.variants, paint),
    ...renderReasons('INCONCLUSIVE', of('inconclusive'), paint, out),
    ...renderReasons('SKIPPED', of('skip'), paint),
    ...(outages.length > 0 ? ['', ...outages] : []),
    '',
    `Reports and timelines: ${out}`,
    // Again: after a long list the first line has scrolled away.
    `${banner(result, paint)}; exit code ${result.exitCode}`,
    '',
  ].join('\n');
}
