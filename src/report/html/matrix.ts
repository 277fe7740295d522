import { levels, type Requirement } from '../../contract/index.js';
import type { RunResult } from '../../runner/index.js';
import type { Entry } from './chapters.js';
import { html, type Markup } from './markup.js';

/** One requirement in the variants of one case. */
interface Cell {
  hold: number;
  broken: number;
  expected: number;
  /** Broken, of a level that fails no variant in this run. */
  noted: number;
  inapplicable: number;
  /** The first variant that broke it, the unexpected ones first. */
  anchor?: string;
}

const empty = (): Cell => ({ hold: 0, broken: 0, expected: 0, noted: 0, inapplicable: 0 });

function tabulate(entries: readonly Entry[], weighs: (id: string) => boolean) {
  const rows = new Map<string, Map<string, Cell>>();
  for (const { result, anchor } of entries) {
    if (result.requirements.length === 0) continue;
    const row = rows.get(result.case) ?? new Map<string, Cell>();
    rows.set(result.case, row);
    for (const { requirement, judgement } of result.requirements) {
      const cell = row.get(requirement) ?? empty();
      row.set(requirement, cell);
      if (judgement.outcome === 'hold') cell.hold++;
      else if (judgement.outcome === 'not-applicable') cell.inapplicable++;
      else if (!weighs(requirement)) cell.noted++;
      else {
        const { expectation } = result;
        const known = expectation !== undefined && !expectation.more.includes(requirement);
        if (!known && cell.broken === 0) cell.anchor = anchor;
        if (known) cell.expected++;
        else cell.broken++;
        cell.anchor ??= anchor;
      }
    }
  }
  return rows;
}

/** Requirements against cases: in how many variants each held, broke, broke as expected, or had no occasion to. */
export function renderMatrix(
  { selection }: Pick<RunResult, 'selection'>,
  entries: readonly Entry[],
  contract: readonly Requirement[],
): Markup {
  const from = levels.slice(0, levels.indexOf(selection.level) + 1);
  const level = new Map(contract.map((requirement) => [requirement.id, requirement.level]));
  const rows = tabulate(entries, (id) => from.includes(level.get(id) ?? 'must'));
  if (rows.size === 0) return html`<p>No variant was judged.</p>`;
  const judged = new Set([...rows.values()].flatMap((row) => [...row.keys()]));
  const foreign = [...judged].filter((id) => !level.has(id));
  const columns = [
    ...levels.map((name) => ({
      name,
      ids: contract.filter((one) => one.level === name && judged.has(one.id)).map(({ id }) => id),
    })),
    // Results of another version of the contract.
    { name: 'of another contract', ids: foreign },
  ].filter(({ ids }) => ids.length > 0);
  const ids = columns.flatMap((column) => column.ids);
  const titles = new Map(contract.map(({ id, title }) => [id, title]));
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Requirements by case">
<table class="matrix"><thead>
<tr><th rowspan="2" scope="col">case</th>${columns.map(({ name, ids }) => html`<th colspan="${ids.length}" scope="colgroup" class="level">${name}</th>`)}</tr>
<tr>${ids.map((id) => html`<th scope="col" title="${titles.get(id)}">${id}</th>`)}</tr>
</thead><tbody>
${[...rows].map(([name, row]) => html`<tr><th scope="row">${name}</th>${ids.map((id) => renderCell(row.get(id) ?? empty(), `${id} in ${name}`))}</tr>\n`)}</tbody></table></div>`;
}

function renderCell(cell: Cell, where: string): Markup {
  const { hold, broken, expected, noted, inapplicable } = cell;
  const told = Object.entries({
    broke: broken,
    'broke as expected': expected,
    'broke, which fails no variant here': noted,
    held: hold,
    'not applicable': inapplicable,
  })
    .filter(([, n]) => n > 0)
    .map(([what, n]) => `${n} ${what}`)
    .join(', ');
  const title = `${where}: ${told || 'not judged'}`;
  const link = (text: string) =>
    cell.anchor === undefined ? text : html`<a href="${hrefOf(cell.anchor)}">${text}</a>`;
  if (broken > 0) return html`<td class="bad" title="${title}">${link(`✕${broken}`)}</td>`;
  if (expected > 0) return html`<td class="known" title="${title}">${link(`≈${expected}`)}</td>`;
  if (noted > 0) return html`<td class="noted" title="${title}">!${noted}</td>`;
  if (hold > 0) return html`<td class="good" title="${title}">${hold}</td>`;
  return html`<td class="none" title="${title}">·</td>`;
}

/** A link to an anchor of this page. */
export const hrefOf = (anchor: string): string => `#${encodeURIComponent(anchor)}`;
