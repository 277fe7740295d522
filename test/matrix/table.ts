import type { CaseCell, RequirementCell, Row } from './cells.js';
import type { Matrix } from './report.js';

/** More of a kind than this are left to matrix.json. */
const MAX_IDS = 10;

/** The whole matrix as Markdown that reads well as it is. */
export function renderMatrix({ columns, cases, requirements, explanations }: Matrix): string {
  const heads = columns.map(({ qemu, name }) => `${qemu} (${name})`);
  return [
    ...table(
      ['', ...heads],
      [
        ['package', ...columns.map(({ version }) => version)],
        ['variants', ...columns.map(({ summary }) => String(summary.total - summary.skip))],
        ['pass', ...columns.map(({ summary }) => String(summary.pass))],
        ['fail as expected', ...columns.map(({ summary }) => String(summary.expected))],
        ['fail unexplained', ...columns.map(({ summary }) => String(summary.fail - summary.expected))],
        ['skip', ...columns.map(({ summary }) => String(summary.skip))],
        ['known failures', ...columns.map(({ expectations }) => expectations ?? 'no file for this build')],
      ],
    ),
    '',
    ...rows('case', heads, cases, caseText),
    '',
    ...rows('requirement', heads, requirements, requirementText),
    '',
    ...explanations.map(({ reason, reference }, i) => `${i + 1}. ${reason} ${link(reference)}`),
    ...(explanations.length > 0 ? [''] : []),
    ...remarks(cases),
  ].join('\n');
}

/** A finding is a section of the document beside the one that holds the table. */
function link(reference: string): string {
  const [, anchor] = /^finding:(.*)$/.exec(reference) ?? [];
  if (anchor !== undefined) return `([finding](findings.md#${anchor}))`;
  return reference.startsWith('http') ? `(<${reference}>)` : `(${reference})`;
}

const because = (explanations: readonly number[]) => (explanations.length > 0 ? ` (${explanations.join(', ')})` : '');

/** `10 pass, 2 fail (1)`; what nobody expected stands out. */
export function caseText(cell: CaseCell): string {
  const { pass, expected, explanations, unexplained, stale, inconclusive, skip } = cell;
  const parts = [
    ...(pass > 0 ? [`${pass} pass`] : []),
    ...(expected > 0 ? [`${expected} fail${because(explanations)}`] : []),
    ...(unexplained.length > 0 ? [`**${unexplained.length} fail, unexplained**`] : []),
    ...(stale.length > 0 ? [`**${stale.length} stale**`] : []),
    ...(inconclusive.length > 0 ? [`${inconclusive.length} inconclusive`] : []),
    ...(skip > 0 ? [`${skip} skip`] : []),
  ];
  return parts.join(', ') || '-';
}

/** `94 hold, 2 break (1)`. */
export function requirementText({ hold, expected, explanations, unexplained }: RequirementCell): string {
  const parts = [
    ...(hold > 0 ? [`${hold} hold`] : []),
    ...(expected > 0 ? [`${expected} break${because(explanations)}`] : []),
    ...(unexplained.length > 0 ? [`**${unexplained.length} break, unexplained**`] : []),
  ];
  return parts.join(', ') || '-';
}

function rows<Cell>(what: string, heads: readonly string[], list: readonly Row<Cell>[], text: (cell: Cell) => string) {
  const name = ({ id, title }: Row<Cell>) => (what === 'requirement' ? `${id} ${title}` : id);
  return table(
    [what, ...heads],
    list.map((row) => [name(row), ...row.cells.map(text)]),
  );
}

function table(head: readonly string[], body: readonly (readonly string[])[]): string[] {
  const widths = head.map((title, i) => Math.max(title.length, 3, ...body.map((row) => row[i]!.length)));
  const line = (cells: readonly string[]) => `| ${cells.map((cell, i) => cell.padEnd(widths[i]!)).join(' | ')} |`;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...body.map(line)];
}

/** What needs somebody's attention, by name. */
function remarks(cases: readonly Row<CaseCell>[]): string[] {
  const named = (word: string, pick: (cell: CaseCell) => readonly string[]) => {
    const ids = [...new Set(cases.flatMap(({ cells }) => cells.flatMap(pick)))];
    const more = ids.length - MAX_IDS;
    return [
      ...ids.slice(0, MAX_IDS).map((id) => `- ${word}: ${id}`),
      ...(more > 0 ? [`- ${word}: and ${more} more, see matrix.json`] : []),
    ];
  };
  const lines = [
    ...named('unexplained', ({ unexplained }) => unexplained),
    ...named('stale', ({ stale }) => stale),
    ...named('inconclusive', ({ inconclusive }) => inconclusive),
  ];
  return lines.length > 0 ? [...lines, ''] : [];
}
