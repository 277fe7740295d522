import type { Case } from '../../src/cases/index.js';
import type { Requirement } from '../../src/contract/index.js';

/** A defect on record: one that QEMU had, has, or may have. */
export interface KnownDefect {
  id: string;
  title: string;
  /** Why no case refers to it. */
  reason?: string | undefined;
}

/** What known.yaml says. */
export interface Known {
  defects: readonly KnownDefect[];
  /** Requirements on record without a judge: id, and why. */
  requirements: Readonly<Record<string, string>>;
}

/** What measured.json says: taken over from a run of the suite and from a mutation test. */
export interface Measured {
  run: { qemu: string; selection: string; variants: number };
  mutation: { qemu: string; selection: string; caught: number; total: number };
  /** By requirement: the cases of the run in which it applied, and the defect builds that it caught. */
  requirements: Record<string, { judgedIn: string[]; caught: string[] }>;
}

/** A failure that an expectation file lists. */
export interface Seen {
  /** Such as `7.2`. */
  version: string;
  case: string;
  requirements: readonly string[];
  reference: string;
}

/** What a page is made of. */
export interface Material {
  registry: readonly Requirement[];
  cases: readonly Pick<Case, 'id' | 'references'>[];
  mutants: readonly { id: string; references: readonly string[] }[];
  seen: readonly Seen[];
  known: Known;
  measured: Measured;
}

const numberOf = (id: string) => Number(id.slice(1));
const code = (ids: readonly string[]) => ids.map((id) => `\`${id}\``).join(', ');
const unique = (list: readonly string[]) => [...new Set(list)];
const row = (...cells: string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;

/**
 * What keeps the page from being complete: an entry with neither case nor reason, or with both; a reference to an entry that
 * is not there; a requirement that no case is about; a gap in the numbers.
 */
export function gaps({ registry, cases, mutants, known }: Material): string[] {
  const ids = new Set(known.defects.map(({ id }) => id));
  const referring = [...cases, ...mutants].flatMap(({ id, references }) => references.map((to) => ({ id, to })));
  const about = new Set(cases.flatMap(({ references }) => references));
  const judged = registry.map(({ id }) => id);
  const highest = Math.max(...judged.filter((id) => id.startsWith('R')).map(numberOf));
  const numbers = Array.from({ length: highest }, (_, index) => `R${index + 1}`);
  return [
    ...referring
      .filter(({ to }) => to.startsWith('defect:') && !ids.has(to.slice('defect:'.length)))
      .map(({ id, to }) => `${id} refers to ${to}, which is not on record`),
    ...known.defects
      .filter(({ id, reason }) => !reason && !about.has(`defect:${id}`))
      .map(({ id }) => `no case refers to defect:${id}, and there is no reason`),
    ...known.defects
      .filter(({ id, reason }) => reason && about.has(`defect:${id}`))
      .map(({ id }) => `defect:${id} has a case: its reason is out of date`),
    ...numbers
      .filter((id) => !judged.includes(id) && !known.requirements[id])
      .map((id) => `${id} has neither a judge nor a reason`),
    ...Object.keys(known.requirements)
      .filter((id) => judged.includes(id))
      .map((id) => `${id} has a judge: its reason is out of date`),
    ...judged.filter((id) => !about.has(`contract:${id}`)).map((id) => `no case refers to contract:${id}`),
  ];
}

/** The page, in Markdown. */
export function page(material: Material): string {
  const { registry, cases, mutants, seen, known, measured } = material;
  const aboutIt = (reference: string) => cases.filter(({ references }) => references.includes(reference));
  const { run, mutation } = measured;
  const requirementRows = registry.map(({ id, title, level, label }) => {
    const { judgedIn = [], caught = [] } = measured.requirements[id] ?? {};
    const versions = unique(seen.filter(({ requirements }) => requirements.includes(id)).map(({ version }) => version));
    return row(
      id,
      title,
      `${level}, ${label}`,
      code(aboutIt(`contract:${id}`).map((one) => one.id)),
      `${judgedIn.length}`,
      caught.length > 0 ? `${caught.length}: ${code(caught)}` : '-',
      versions.join(', ') || '-',
    );
  });
  const unjudged = Object.entries(known.requirements).map(([id, reason]) => row(id, reason, '-', '-', '-', '-', '-'));
  const defectRows = known.defects.map(({ id, title, reason }, index) => {
    const reference = `defect:${id}`;
    const own = aboutIt(reference).map((one) => one.id);
    const builds = mutants.filter(({ references }) => references.includes(reference)).map((one) => one.id);
    const versions = unique(seen.filter((one) => one.reference === reference).map(({ version }) => version));
    return row(
      `${index + 1}`,
      `\`${id}\``,
      title,
      own.length > 0 ? code(own) : (reason ?? ''),
      code(builds) || '-',
      versions.join(', ') || '-',
    );
  });
  const found = unique(seen.filter(({ reference }) => reference.startsWith('finding:')).map((one) => one.reference));
  const findingRows = found.map((reference) => {
    const its = seen.filter((one) => one.reference === reference);
    const section = reference.slice('finding:'.length);
    return row(
      `[${section}](findings.md#${section})`,
      code(unique(its.map((one) => one.case))),
      unique(its.flatMap((one) => one.requirements)).join(', '),
      unique(its.map(({ version }) => version)).join(', '),
    );
  });
  return `${[
    '# Coverage',
    '',
    '<!-- Made by `make coverage`; do not edit. -->',
    '',
    'Which case exercises which requirement and which defect on record, and where each was seen to fail. `make coverage` makes',
    'this page of the cases, the contract, the expectation files, `test/coverage/known.yaml`, and what was measured last:',
    `${run.variants} variants (${run.selection}) on QEMU ${run.qemu}, and the ${mutation.total} defect builds of`,
    `QEMU ${mutation.qemu} with the ${mutation.selection} selection, ${mutation.caught} of which were caught. A test holds the page against the repository.`,
    '',
    '## Requirements',
    '',
    'All requirements are judged on every timeline. *Cases about it* name the requirement among their references; *judged in*',
    'counts the cases of the measured run in which it applied; *caught* names the defect builds that broke it; *fails on* the',
    'real versions for which an expectation file lists it.',
    '',
    row('id', 'requirement', 'level, label', 'cases about it', 'judged in', 'caught', 'fails on'),
    row('---', '---', '---', '---', '---', '---', '---'),
    ...requirementRows,
    ...unjudged,
    '',
    '## Defects on record',
    '',
    row('#', 'defect', 'what it is', 'cases, or why there is none', 'defect builds', 'fails on'),
    row('---', '---', '---', '---', '---', '---'),
    ...defectRows,
    '',
    '## Found by the tester',
    '',
    row('finding', 'cases', 'requirements', 'fails on'),
    row('---', '---', '---', '---'),
    ...findingRows,
    '',
    '## Left for later work',
    '',
    'vhost-user-blk; a second QEMU as the destination of a migration; driver personalities other than linux;',
    'random search.',
  ].join('\n')}\n`;
}
