import { type ContractLevel, levels, type Requirement } from '../contract/index.js';
import { isExpected, type RunResult, type VariantResult } from '../runner/index.js';
import type { Role } from '../timeline/index.js';
import { count, printable, wrap } from './format.js';
import { groupBy } from './group.js';
import { countsOf } from './summary.js';

const WIDTH = 100;
const roles: readonly Role[] = ['server', 'client'];

/** What one requirement came to in the variants of a role. */
interface Tally {
  requirement: Requirement;
  held: number;
  broken: number;
}

/** A level of a role: `not tested` when none of its requirements was ever judged. */
export type Conformance = 'conforming' | 'not conforming' | 'not tested';

/**
 * Whether QEMU keeps the requirements of a level in a role. Every break counts, one that is expected too: that it is known
 * does not make it conform.
 */
export function conformance(
  result: Pick<RunResult, 'variants'>,
  contract: readonly Requirement[],
  role: Role,
  level: ContractLevel,
): Conformance {
  const tallies = tally(result.variants, contract, role).filter(({ requirement }) => requirement.level === level);
  if (tallies.some(({ broken }) => broken > 0)) return 'not conforming';
  return tallies.some(({ held }) => held > 0) ? 'conforming' : 'not tested';
}

/**
 * The summary sheet of a certification, as plain text: what was tested, whether it conforms by level and role, which
 * requirements broke, and what was not tested and why. The same result gives the same text.
 */
export function renderSheet(result: RunResult, contract: readonly Requirement[]): string {
  const { qemu, tester, selection, startedAt, expectations, hosts, contract: by } = result;
  const chosen = selection.selectors.length > 0 ? selection.selectors.join(' ') : 'every case';
  return `${[
    'vhost-user reconnect conformance',
    '================================',
    '',
    ...field('QEMU', qemu.versionText),
    ...field('binary', qemu.path === qemu.binary ? qemu.path : `${qemu.binary}, run by ${qemu.path}`),
    ...field('package', qemu.package ?? 'none'),
    ...field('build id', qemu.buildId ?? 'none'),
    ...field('sha256', qemu.sha256 ?? 'could not be read'),
    ...field('tested', startedAt),
    ...hosts.flatMap((host) => field('host', hostText(host))),
    ...field('tester', `${tester.name} ${tester.version}, contract ${by.version}`),
    ...field('selection', `${selection.selection}: ${chosen}; machine ${selection.machines.join(', ')}`),
    ...field('profile', selection.profiles.join(', ')),
    ...field('known', expectations?.file ?? 'no failure of this build'),
    ...field('results', countsOf(result)),
    '',
    ...table(result, contract),
    '',
    ...brokenRequirements(result, contract),
    ...notTested(result, contract),
  ]
    .map(printable)
    .join('\n')}\n`;
}

const hostText = ({ distribution, kernel, architecture, cpus, cpu }: RunResult['hosts'][number]) =>
  [distribution, `Linux ${kernel}`, architecture, `${count(cpus, 'CPU')}${cpu === null ? '' : ` (${cpu})`}`]
    .filter((part) => part !== null)
    .join(', ');

const field = (name: string, value: string) =>
  wrap(value, WIDTH - 11).map((line, i) => `${(i === 0 ? name : '').padEnd(11)}${line}`);

function table(result: RunResult, contract: readonly Requirement[]): string[] {
  const rows = levels
    .filter((level) => contract.some((requirement) => requirement.level === level))
    .map((level) => [level, ...roles.map((role) => conformance(result, contract, role, level).toUpperCase())]);
  return [['level', 'QEMU listens (server)', 'QEMU dials (client)'], ...rows].map(([level = '', ...cells]) =>
    `${level.padEnd(10)}${cells.map((cell) => cell.padEnd(24)).join('')}`.trimEnd(),
  );
}

function tally(results: readonly VariantResult[], contract: readonly Requirement[], role: Role): Tally[] {
  const outcomes = groupBy(
    results.filter((result) => result.role === role).flatMap(({ requirements }) => requirements),
    ({ requirement }) => requirement,
  );
  return contract.map((requirement) => {
    const own = outcomes.get(requirement.id) ?? [];
    const of = (outcome: string) => own.filter(({ judgement }) => judgement.outcome === outcome).length;
    return { requirement, held: of('hold'), broken: of('break') };
  });
}

function brokenRequirements(result: RunResult, contract: readonly Requirement[]): string[] {
  const lines = roles.flatMap((role) =>
    tally(result.variants, contract, role)
      .filter(({ broken }) => broken > 0)
      .flatMap(({ requirement: { id, level, title }, held, broken }) => {
        const failed = result.variants.filter(
          (one) =>
            one.role === role &&
            one.requirements.some(({ requirement, judgement }) => requirement === id && judgement.outcome === 'break'),
        );
        const known = failed.filter(isExpected).length;
        const expected = known === 0 ? '' : known === failed.length ? ', all known of this build' : `, ${known} known`;
        return [
          `  ${role}  ${id} (${level}) ${title}`,
          `          broken in ${broken} of ${count(held + broken, 'variant')}${expected}; first: ${failed[0]?.variant}`,
        ];
      }),
  );
  return lines.length === 0 ? ['No requirement was broken.', ''] : ['Broken', ...lines, ''];
}

function notTested(result: RunResult, contract: readonly Requirement[]): string[] {
  const { selection, variants, notRun, interrupted } = result;
  const never = roles.flatMap((role) => {
    if (!selection.roles.includes(role)) return [`  ${role}  the whole role: it was not selected`];
    const ids = tally(variants, contract, role).filter(({ held, broken }) => held + broken === 0);
    return ids.map(
      ({ requirement: { id, title } }) => `  ${role}  ${id} ${title}: no variant gave occasion to judge it`,
    );
  });
  const reasons = (verdict: 'skip' | 'inconclusive', word: string) =>
    [
      ...groupBy(
        variants.filter((one) => one.verdict === verdict),
        ({ reason }) => reason ?? 'no reason given',
      ),
    ].map(([reason, list]) => `  ${count(list.length, 'variant')} ${word}: ${reason}`);
  const parts = [
    ...(selection.selection === 'full' && selection.selectors.length === 0
      ? []
      : ['  what the selection leaves out: the full one, without selectors, has everything']),
    ...reasons('skip', 'skipped'),
    ...reasons('inconclusive', 'inconclusive'),
    ...(notRun.length > 0
      ? [`  ${count(notRun.length, 'variant')} not run: the run ended early${interrupted ? ', interrupted' : ''}`]
      : []),
    ...never,
  ];
  return ['Not tested', ...(parts.length > 0 ? parts : ['  nothing of the catalogue was left out'])];
}
