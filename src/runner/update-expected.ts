import { Document, isSeq, parseDocument, visit, type YAMLSeq } from 'yaml';
import type { Variant } from '../cases/index.js';
import type { QemuFacts } from '../qemu/index.js';
import { type Entry, packageText } from './expectation-file.js';
import type { RunResult, VariantResult } from './result.js';
import { selectorOf } from './variant-selector.js';
import { breaks } from './verdict.js';

/** What an entry says that nobody has looked into. */
export const UNEXPLAINED = { reason: 'Not explained yet.', reference: 'unexplained' } as const;

/** An expectation file after an update. */
export interface UpdatedFile {
  text: string;
  /** How many entries are new. */
  added: number;
  /** How many entries nobody has looked into, the new ones among them. */
  unexplained: number;
  /** Entries that were not right of some variant, by their place in the file: what they say is for people to mend. */
  wrong: string[];
}

/**
 * An expectation file with an entry more for each variant that failed and that no entry names. What somebody wrote stays to the
 * letter. What broke in some repetitions only becomes `may`.
 * @param text of the file as it was when the run began; undefined: there was none
 * @throws RangeError when the list of entries is not written a line each, so that nothing can be put behind it
 */
export function updateExpectations(
  text: string | undefined,
  { variants: results, selection: { level } }: Pick<RunResult, 'variants' | 'selection'>,
  facts: Pick<QemuFacts, 'version' | 'versionText'>,
): UpdatedFile {
  const file = text ?? emptyFile(facts);
  const document = parseDocument(file);
  const entries = (document.toJS() as { expected: Entry[] }).expected;
  const known = entries.map((entry) => selectorOf(entry.case));
  const judged = results.filter(({ verdict }) => verdict === 'pass' || verdict === 'fail');
  const added = [...observe(judged, level)].flatMap(([key, { one, requirements, may }]): Entry[] => {
    if (requirements.length + may.length === 0 || known.some(({ picks }) => picks(pointOf(one)))) return [];
    const some = { ...(requirements.length > 0 && { requirements }), ...(may.length > 0 && { may }) };
    return [{ case: key, ...some, ...UNEXPLAINED } as Entry];
  });
  const wrong = judged.flatMap(({ expectation }) =>
    expectation && expectation.state !== 'met' ? [`${expectation.place} (${expectation.state})`] : [],
  );
  return {
    text: added.length === 0 ? file : insert(file, document.get('expected', true), added),
    added: added.length,
    unexplained: [...entries, ...added].filter(({ reference }) => reference === UNEXPLAINED.reference).length,
    wrong: [...new Set(wrong)],
  };
}

/** The file with entries behind those that it has. */
function insert(file: string, list: unknown, added: readonly Entry[]): string {
  if (!isSeq(list)) throw new RangeError('the list of what is expected is no list');
  const [start, end] = (list as YAMLSeq.Parsed).range;
  if (list.items.length === 0)
    return `${file.slice(0, start).trimEnd()}\n${print(added, 2)}${file.slice(end).replace(/^[ \t]*\r?\n/, '')}`;
  if (list.flow) throw new RangeError('its entries are not written a line each');
  const indent = start - (file.lastIndexOf('\n', start - 1) + 1);
  const line = file.indexOf('\n', end - 1) + 1;
  const [before, after] = line === 0 ? [`${file}\n`, ''] : [file.slice(0, line), file.slice(line)];
  return before + print(added, indent) + after;
}

function print(entries: readonly Entry[], indent: number): string {
  const document = new Document(entries, { aliasDuplicateObjects: false });
  visit(document, {
    Seq: (_, node, path) => {
      if (path.length > 1) node.flow = true;
    },
  });
  return document.toString({ lineWidth: 0, flowCollectionPadding: false }).replace(/^(?=.)/gm, ' '.repeat(indent));
}

const valuesOf = (id: string) => /\[(.*)\]$/.exec(id)?.[1]?.split(',') ?? [];

/** As much of a variant as an entry's selector looks at: one that a dry run discovered is in no catalogue. */
function pointOf({ variant, case: caseId, role, machine }: VariantResult) {
  const params = Object.fromEntries(valuesOf(variant).map((part) => part.split('=') as [string, string]));
  return { caseId, role, machine: machine as Variant['machine'], params };
}

/** What an entry calls a variant: by its id, with role and machine, which an id may leave out. */
function keyOf({ variant, case: caseId, role, machine }: VariantResult): string {
  const values = valuesOf(variant);
  const more = [`role=${role}`, `machine=${machine}`].filter((value) => !values.includes(value));
  return `${caseId}[${[...values, ...more].join(',')}]`;
}

/** What broke, by variant. What a variant breaks in all its repetitions, it breaks always. */
function observe(results: readonly VariantResult[], level: RunResult['selection']['level']) {
  const runs = new Map<string, { one: VariantResult; each: string[][] }>();
  for (const one of results) {
    const broken = breaks(one.requirements, level).map(({ requirement }) => requirement);
    runs.set(keyOf(one), { one, each: [...(runs.get(keyOf(one))?.each ?? []), broken] });
  }
  return new Map(
    [...runs].map(([key, { one, each }]) => {
      const ever = [...new Set(each.flat())];
      const requirements = ever.filter((requirement) => each.every((broken) => broken.includes(requirement)));
      return [key, { one, requirements, may: ever.filter((requirement) => !requirements.includes(requirement)) }];
    }),
  );
}

/** For this very build: its version, and what it prints in parentheses. */
function emptyFile({ version, versionText }: Pick<QemuFacts, 'version' | 'versionText'>): string {
  const [major = 0, minor = 0, micro = 0] = version.split('.').map(Number);
  const literal = packageText(versionText).replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
  return [
    'build:',
    `  from: ${version}`,
    `  below: ${major}.${minor}.${micro + 1}`,
    `  package: ${JSON.stringify(literal)}`,
    'expected: []',
    '',
  ].join('\n');
}
