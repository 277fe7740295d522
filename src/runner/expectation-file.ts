import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import {
  builtinCases,
  CaseError,
  CatalogueError,
  caseErrors,
  Source,
  shownPath,
  type Variant,
} from '../cases/index.js';
import { registry } from '../contract/index.js';
import type { QemuFacts } from '../qemu/index.js';
import { Expectations, type KnownFailure } from './expectations.js';
import { selectorOf } from './variant-selector.js';

const breakable = registry.map(({ id }) => id) as [string, ...string[]];
const requirements = z
  .array(z.enum(breakable))
  .refine((list) => new Set(list).size === list.length, 'no requirement twice');
const version = z.string().regex(/^\d+\.\d+\.\d+$/, 'a version such as 7.2.0');
const text = z.string().trim().min(1, 'some text');

function isPattern(source: string): boolean {
  try {
    return Boolean(new RegExp(source));
  } catch {
    return false;
  }
}

const pattern = z.string().refine(isPattern, 'a regular expression');

const entry = z
  .strictObject({
    case: text.describe('Case id or its first components, or a variant: id[key=value,...] with some of its values'),
    requirements: requirements.default([]).describe('What always breaks'),
    may: requirements.default([]).describe('What breaks sometimes: a race inside of QEMU'),
    reason: text.describe('Why, in one sentence'),
    reference: z
      .string()
      .regex(
        /^(defect:[\w.-]+|finding:[\w-]+|https?:\/\/\S+|unexplained)$/,
        'defect:<name>, finding:<section of docs/findings.md>, a URL, or unexplained',
      )
      .describe('Where there is more to read; unexplained: nobody has looked into it yet'),
    from: version.optional().describe('The first version that the entry is for, where it is not for all of the file'),
    below: version.optional().describe('The first version that the entry is not for any more'),
  })
  .refine(({ requirements: always, may }) => always.length + may.length > 0, 'a requirement that breaks')
  .refine(
    ({ requirements: always, may }) => !may.some((id) => always.includes(id)),
    'no requirement both in requirements and in may',
  );

const definition = z.strictObject({
  build: z
    .strictObject({
      from: version.describe('The first version that the file is for'),
      below: version.describe('The first version that it is not for any more'),
      package: pattern.describe(
        'Regular expression for the whole text in the parentheses of `qemu-system-x86_64 --version`',
      ),
    })
    .describe('The builds of QEMU that the file is for; one that a vendor has patched is another build'),
  seen: z
    .partialRecord(z.enum(breakable), pattern)
    .default({})
    .describe(
      'How requirements break that are expected to, as a regular expression for what is seen then: what breaks them in another way is not expected',
    ),
  expected: z.array(entry).describe('Failures that are known'),
});

export type Build = z.output<typeof definition>['build'];
/** How requirements break that are expected to, by their ids: regular expressions. */
export type SeenPatterns = Readonly<Partial<Record<string, string>>>;
/** One known failure. */
export type Entry = z.output<typeof entry>;

/** The JSON Schema of an expectation file, for editors. */
export function expectedSchema(): object {
  const { $schema, ...schema } = z.toJSONSchema(definition, { io: 'input' });
  return { $schema, title: 'Failures of a QEMU build that are known', ...schema };
}

/** The files that come with the package. */
const builtinExpected = join(builtinCases, 'expected');

/** A file that was read; whether its entries fit the catalogue is not known yet. */
export interface ExpectationFile {
  text: string;
  build: Build;
  seen: SeenPatterns;
  source: Source;
  expected: readonly Entry[];
}

/** @throws CatalogueError with all mistakes of the file */
async function read(path: string): Promise<ExpectationFile> {
  const file = shownPath(path);
  const errors: CaseError[] = [];
  try {
    const text = await readFile(path, 'utf8');
    const source = Source.parse(file, text);
    const result = definition.safeParse(source.value);
    if (result.success) return { ...result.data, source, text };
    errors.push(...caseErrors('ERR_EXPECTED', source, [], definition, source.value, result.error));
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    const place = { file, line: 1, column: 1 };
    errors.push(
      error instanceof CaseError ? error : new CaseError('ERR_EXPECTED', place, 'a file that can be read', code),
    );
  }
  throw new CatalogueError(errors);
}

const numberOf = (dotted: string) => dotted.split('.').reduce((sum, part) => sum * 1000 + Number(part), 0);

/** What a build prints of its package: the whole text in the parentheses of `--version`; empty without. */
export const packageText = (versionText: string): string => /\((.*)\)$/.exec(versionText)?.[1] ?? '';

/** Whether a build is one that a file is for. */
export function isFor(build: Build, facts: Pick<QemuFacts, 'version' | 'versionText'>): boolean {
  return isWithin(build, facts.version) && new RegExp(`^(?:${build.package})$`).test(packageText(facts.versionText));
}

/** Whether a version is in a range, which may be open. */
export function isWithin(
  { from = '0', below }: { from?: string | undefined; below?: string | undefined },
  version: string,
) {
  const number = numberOf(version);
  return numberOf(from) <= number && (below === undefined || number < numberOf(below));
}

/**
 * What is expected of a QEMU.
 * @param path of a file; without it the one that comes with the package for this very build, if there is one
 * @param variants all that the catalogue has, whatever is selected
 * @throws CatalogueError for mistakes in the file, an entry that names nothing, and a file for another build
 */
export async function loadExpectations(
  path: string | undefined,
  facts: QemuFacts,
  variants: readonly Variant[],
): Promise<Expectations | undefined> {
  if (path !== undefined) {
    const file = await read(path);
    if (!isFor(file.build, facts)) throw new CatalogueError([otherBuild(file, facts)]);
    return match(file, variants, facts.version);
  }
  for (const name of (await readdir(builtinExpected)).sort()) {
    const file = await read(join(builtinExpected, name));
    if (isFor(file.build, facts)) return match(file, variants, facts.version);
  }
  return undefined;
}

function otherBuild({ build, source }: ExpectationFile, { versionText }: QemuFacts): CaseError {
  const { from, below, package: pattern } = build;
  const expected = `QEMU from ${from} to below ${below} that prints (${pattern})`;
  const hint = 'the file is for another build: --expected none makes every failure count';
  return new CaseError('ERR_EXPECTED', source.at(['build'], 'key'), expected, `"${versionText}"`, hint);
}

/**
 * Two entries may name the same discovered variant, as nobody knows yet which there are: a later one is finer.
 * @throws CatalogueError when an entry names no variant, or two name the same one
 */
function match(
  { source, seen, expected, text }: ExpectationFile,
  variants: readonly Variant[],
  version: string,
): Expectations {
  const errors: CaseError[] = [];
  const entries: KnownFailure[] = [];
  for (const [i, entry] of expected.entries()) {
    const place = source.at(['expected', i, 'case']);
    const selector = selectorOf(entry.case);
    if (!variants.some(selector.mayPick))
      errors.push(
        new CaseError('ERR_EXPECTED', place, 'a variant of the catalogue', entry.case, selector.hint(variants)),
      );
    if (!isWithin(entry, version)) continue;
    const [twice, other] = named(entries, variants.filter(selector.picks));
    if (twice && other)
      errors.push(
        new CaseError(
          'ERR_EXPECTED',
          place,
          'no variant that another entry names',
          twice.id,
          `line ${other.line} names it too`,
        ),
      );
    entries.push({ entry, line: place.line, picks: selector.picks });
  }
  if (errors.length > 0) throw new CatalogueError(errors);
  return new Expectations(source.file, entries, text, seen);
}

/** The first of the variants that an entry names already, and that entry. */
function named(entries: readonly KnownFailure[], variants: readonly Variant[]): [Variant, KnownFailure] | [] {
  for (const variant of variants) {
    const entry = entries.find(({ picks }) => picks(variant));
    if (entry) return [variant, entry];
  }
  return [];
}
