import { formatMs } from '../../src/report/format.js';
import { catchingVariants, type DefectResult, escaped, scoreOf, stale, worthOf } from './score.js';

/** What the table shows. */
export interface TableInput {
  results: readonly DefectResult[];
  /** Defects that were to run; more than `results` when interrupted. */
  wanted: number;
  /** Runs ended at their first failure: what each requirement is worth cannot be told. */
  failFast: boolean;
}

/** The table, the requirements' worth, what needs attention, and last the score: Markdown that reads well as it is. */
export function renderTable({ results, wanted, failFast }: TableInput): string {
  return [
    ...(results.length > 0 ? [...table(results), '', ...(failFast ? [] : worth(results))] : []),
    ...remarks(results),
    scoreLine(results, wanted),
    '',
  ].join('\n');
}

function table(results: readonly DefectResult[]): string[] {
  const head = ['defect', 'verdict', 'first requirement', 'time to detect', 'requirements', 'variants', 'inconclusive'];
  const rows = results.map((result) => [
    result.id,
    verdict(result),
    result.first?.requirement ?? '-',
    result.first ? formatMs(result.first.detectedMs) : '-',
    String(Object.keys(result.caughtBy).length),
    String(catchingVariants(result).size),
    String(result.inconclusive.length),
  ]);
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)));
  const line = (cells: readonly string[]) => `| ${cells.map((cell, i) => cell.padEnd(widths[i]!)).join(' | ')} |`;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)];
}

function verdict(result: DefectResult): string {
  if (stale(result)) return `caught: ${result.kind} (listed as undetected)`;
  if (result.kind) return `caught: ${result.kind}`;
  return result.undetected === undefined ? 'missed' : 'missed, listed';
}

function worth(results: readonly DefectResult[]): string[] {
  const all = worthOf(results);
  const alone = all.filter((one) => one.alone.length > 0);
  const idle = all.filter((one) => one.caught.length === 0);
  const some = (ids: readonly string[]) => (ids.length > 0 ? ids.join(', ') : 'none');
  return [
    `Requirements that alone caught a defect: ${alone.length} of ${all.length}`,
    ...alone.map((one) => `- ${one.requirement}: ${one.alone.join(', ')}`),
    '',
    `Requirements that caught nothing: ${some(idle.map(({ requirement }) => requirement))}`,
    '',
  ];
}

function remarks(results: readonly DefectResult[]): string[] {
  const lines = results.flatMap((result) => {
    if (escaped(result)) return [`- missed: ${result.id}: ${result.title}`];
    if (stale(result)) return [`- listed as undetected, but caught: ${result.id}: drop its \`undetected\``];
    return result.undetected === undefined ? [] : [`- missed, listed: ${result.id}: ${result.undetected}`];
  });
  const late = results.filter(({ verdict, runs }) => verdict === 'caught' && runs > 1).map(({ id }) => id);
  if (late.length > 0) lines.push(`- caught only when run again, alone: ${late.join(', ')}`);
  return lines.length > 0 ? [...lines, ''] : [];
}

/** `Mutation score: 50 of 55 defects caught (90.9 %); 3 missed and listed, 2 missed`. */
export function scoreLine(results: readonly DefectResult[], wanted: number): string {
  const { caught, total } = scoreOf(results);
  const share = total > 0 ? ` (${((100 * caught) / total).toFixed(1)} %)` : '';
  const listed = results.filter((result) => result.verdict === 'missed' && !escaped(result)).length;
  const cut = total < wanted ? `INCOMPLETE, ${total} of ${wanted} defects run. ` : '';
  const missed = results.filter(escaped).length;
  return `${cut}Mutation score: ${caught} of ${total} defects caught${share}; ${listed} missed and listed, ${missed} missed`;
}
