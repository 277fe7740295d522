import { Document, LineCounter, parseDocument, type Scalar, visit, type YAMLMap, type YAMLSeq } from 'yaml';
import type { Variant } from '../cases/index.js';
import type { QemuFacts } from '../qemu/index.js';
import { type Entry, isWithin } from './expectation-file.js';
import type { RunResult, VariantResult } from './result.js';
import { selectorOf } from './variant-selector.js';
import { breaks } from './verdict.js';

/** What an entry says that nobody has looked into. */
export const UNEXPLAINED = { reason: 'Not explained yet.', reference: 'unexplained' } as const;

type EntryList = YAMLSeq.Parsed<YAMLMap.Parsed>;

/** What breaks in a variant always, and what sometimes. */
type Broken = Partial<Pick<Entry, 'requirements' | 'may'>>;

/** An expectation file after an update. */
export interface UpdatedFile {
  text: string;
  /** Entries that are new or were wrong. */
  changed: number;
  /** Entries that nobody has looked into. */
  unexplained: number;
}

/**
 * An expectation file by which a run would have been as expected. Entries that were right stay, with comments and all. One that
 * was wrong of a variant makes way for entries of what was seen, and of what it says of the variants that were not run; each
 * keeps its reason unless nothing of it broke. What was not expected at all gets entries without a reason, for somebody to look
 * into. What broke in some repetitions only becomes `may`.
 * @param text of the file as it was when the run began; undefined: there was none
 * @param variants all that the catalogue has
 */
export function updateExpectations(
  text: string | undefined,
  { variants: results, selection: { level } }: Pick<RunResult, 'variants' | 'selection'>,
  facts: Pick<QemuFacts, 'version' | 'versionText'>,
  variants: readonly Variant[],
): UpdatedFile {
  const file = text ?? emptyFile(facts);
  const lines = new LineCounter();
  const document = parseDocument(file, { lineCounter: lines });
  const old = document.get('expected') as EntryList;
  const judged = results.filter(({ verdict }) => verdict === 'pass' || verdict === 'fail');
  const seen = observe(judged, level);
  const lineIn = ({ expectation }: VariantResult) => Number(/\d+$/.exec(expectation?.place ?? '')?.[0]);
  const wrong = new Set(judged.filter(({ expectation }) => expectation && expectation.state !== 'met').map(lineIn));
  const settled = new Set<string>();
  /** What takes the place of each entry that was wrong. */
  const instead = new Map<YAMLMap.Parsed, Entry[]>();
  for (const item of old.items) {
    const entry = item.toJS(document) as Entry;
    if (!isWithin(entry, facts.version)) continue;
    const { line } = lines.linePos((item.get('case', true) as Scalar.Parsed).range[0]);
    const { picks } = selectorOf(entry.case);
    const named = [...variants.filter(picks), ...judged.filter((one) => lineIn(one) === line)];
    const keys = new Set(named.map(keyOf));
    for (const key of keys) settled.add(key);
    if (wrong.has(line))
      instead.set(
        item,
        [...keys].flatMap((key) => entryFor(key, seen.get(key) ?? entry, entry)),
      );
  }
  const added = [...seen].flatMap(([key, broken]) => (settled.has(key) ? [] : entryFor(key, broken)));
  const left = old.items.filter((item) => !instead.has(item)).map((item) => item.toJS(document) as Entry);
  const written = [...[...instead.values()].flat(), ...added];
  return {
    text: edit(file, document, instead, added),
    changed: written.length,
    unexplained: [...left, ...written].filter(({ reference }) => reference === UNEXPLAINED.reference).length,
  };
}

/** The file with other entries in place of some, and some behind the rest. What is not concerned stays to the letter. */
function edit(
  file: string,
  document: Document.Parsed,
  instead: ReadonlyMap<YAMLMap.Parsed, readonly Entry[]>,
  added: readonly Entry[],
): string {
  const old = document.get('expected') as EntryList;
  const [start, , end] = old.range;
  const remain = old.items.some((item) => instead.get(item)?.length !== 0) || added.length > 0;
  if (!remain) return `${file.slice(0, start).trimEnd()} []\n${file.slice(end)}`;
  if (old.flow || old.items.length === 0) {
    const entries = old.items.flatMap((item) => instead.get(item) ?? [item.toJS(document) as Entry]);
    return `${file.slice(0, start).trimEnd()}\n${print([...entries, ...added], 2)}${file.slice(end)}`;
  }
  const indent = start - lineStart(file, start);
  let [text, at] = ['', 0];
  for (const [item, entries] of instead) {
    text += file.slice(at, lineStart(file, item.range[0])) + print(entries, indent);
    at = item.range[2];
  }
  const rest = file.slice(at, end);
  return `${text}${rest}${rest === '' || rest.endsWith('\n') ? '' : '\n'}${print(added, indent)}${file.slice(end)}`;
}

const lineStart = (text: string, offset: number) => text.lastIndexOf('\n', offset - 1) + 1;

function print(entries: readonly Entry[], indent: number): string {
  if (entries.length === 0) return '';
  const document = new Document(entries);
  visit(document, { Seq: (_, node, path) => void (path.length > 1 && Object.assign(node, { flow: true })) });
  return document.toString({ lineWidth: 0, flowCollectionPadding: false }).replace(/^(?=.)/gm, ' '.repeat(indent));
}

/** The entry for a variant, if anything breaks. The reason of the entry before holds as long as any of that still breaks. */
function entryFor(key: string, broken: Broken, before?: Entry): Entry[] {
  const { requirements, may } = { requirements: [], may: [], ...broken };
  const all = [...requirements, ...may];
  if (all.length === 0) return [];
  const known = before && all.some((id) => [...(before.requirements ?? []), ...(before.may ?? [])].includes(id));
  const { reason, reference } = known ? before : UNEXPLAINED;
  const some = { ...(requirements.length > 0 && { requirements }), ...(may.length > 0 && { may }) };
  return [{ case: key, ...some, reason, reference } as Entry];
}

/** What an entry calls a variant: by its id, with role and machine, which an id may leave out. */
function keyOf(one: VariantResult | Variant): string {
  const [id, caseId] = 'variant' in one ? [one.variant, one.case] : [one.id, one.caseId];
  const values = /\[(.*)\]$/.exec(id)?.[1]?.split(',') ?? [];
  const more = [`role=${one.role}`, `machine=${one.machine}`].filter((value) => !values.includes(value));
  return `${caseId}[${[...values, ...more].join(',')}]`;
}

/** What broke, by variant. What a variant breaks in all its repetitions, it breaks always. */
function observe(results: readonly VariantResult[], level: RunResult['selection']['level']): Map<string, Broken> {
  const runs = new Map<string, string[][]>();
  for (const result of results) {
    const broken = breaks(result.requirements, level).map(({ requirement }) => requirement);
    runs.set(keyOf(result), [...(runs.get(keyOf(result)) ?? []), broken]);
  }
  return new Map(
    [...runs].map(([key, each]) => {
      const ever = [...new Set(each.flat())];
      const requirements = ever.filter((requirement) => each.every((broken) => broken.includes(requirement)));
      return [key, { requirements, may: ever.filter((requirement) => !requirements.includes(requirement)) }];
    }),
  );
}

/** For this very build: its version, and what it prints in parentheses. */
function emptyFile({ version, versionText }: Pick<QemuFacts, 'version' | 'versionText'>): string {
  const [, printed = ''] = /\((.*)\)$/.exec(versionText) ?? [];
  const [major = 0, minor = 0, micro = 0] = version.split('.').map(Number);
  const literal = printed.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
  return [
    'build:',
    `  from: ${version}`,
    `  below: ${major}.${minor}.${micro + 1}`,
    `  package: ${JSON.stringify(literal)}`,
    'expected: []',
    '',
  ].join('\n');
}
