import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { z } from 'zod';
import { CaseError, CatalogueError, type Place } from '../../src/cases/error.js';
import { caseErrors } from '../../src/cases/issues.js';
import { didYouMean } from '../../src/cases/nearest.js';
import { Source } from '../../src/cases/source.js';

/** The defects of this repository. */
export const builtinDefects = join(import.meta.dirname, 'defects');

const text = z.string().min(1);
const id = z
  .string()
  .regex(/^[a-z0-9-]+(\.[a-z0-9-]+)+$/, 'an id such as chardev.accepts-twice: a theme, a dot, a name');
/** Below the source's root; only C files can be read by the anchors. */
const file = z
  .string()
  .regex(
    /^(?!.*(^|\/)\.\.?(\/|$))[\w.+-]+(\/[\w.+-]+)*\.[ch]$/,
    'the path of a C file of QEMU, such as net/vhost-user.c',
  );

const atLine = z.strictObject({
  file,
  function: z.string().regex(/^[A-Za-z_]\w*$/, "a function's name"),
  line: z.int().min(1),
  code: text,
});
const atTop = z.strictObject({ file, top: z.literal(true), code: text });

const additionList = z.array(z.looseObject({})).min(1);
const defect = z.strictObject({
  id,
  title: text,
  references: z.array(text).default([]),
  undetected: text.optional(),
  additions: additionList,
});
const theme = z.strictObject({
  common: additionList.optional(),
  defects: z.array(z.looseObject({})).min(1).optional(),
});

/**
 * Code that is added to a QEMU source file: before a line of a function, counted from 1 at the first line of its
 * definition, or (`top`) at file scope behind the file's includes.
 */
export type Addition = (z.output<typeof atLine> | z.output<typeof atTop>) & {
  /** The first line of `code` in its YAML file. */
  place: Place;
};

/** A defect that is added to QEMU, and turned on by its id. */
export interface Defect {
  id: string;
  /** What is wrong in QEMU's behaviour, in one sentence. */
  title: string;
  /** Such as `defect:server-self-connect-after-R`, `qemu:chardev/char-socket.c#tcp_chr_accept`. */
  references: readonly string[];
  /** Why no requirement can catch it: it is missed on purpose. */
  undetected?: string | undefined;
  additions: readonly Addition[];
}

/** What a folder of defects adds to QEMU. */
export interface Mutations {
  defects: Defect[];
  /** All of the code: that of the defects, and what they share, which is always on and changes nothing by itself. */
  additions: Addition[];
}

/**
 * Loads and checks all defects, in the order of their files' names, then as listed.
 * @param dir folder of YAML files, each `{ common: [additions], defects: [defects] }`
 * @throws CatalogueError with all mistakes of all files
 */
export async function loadDefects(dir: string = builtinDefects): Promise<Defect[]> {
  return (await loadMutations(dir)).defects;
}

/** As `loadDefects`, with all of the code. Additions are in the order of the files' names, in a file the shared ones first. */
export async function loadMutations(dir: string = builtinDefects): Promise<Mutations> {
  const names = await readdir(dir).catch((error: NodeJS.ErrnoException) => error.code ?? error.message);
  const files = typeof names === 'string' ? [] : names.filter((name) => name.endsWith('.yaml')).sort();
  if (files.length === 0) {
    const got = typeof names === 'string' ? names : 'none';
    const place = { file: shown(dir), line: 1, column: 1 };
    throw new CatalogueError([new CaseError('ERR_CASE_FILE', place, 'a folder with files of defects (*.yaml)', got)]);
  }
  const themes: Theme[] = [];
  for (const name of files) {
    const path = join(dir, name);
    themes.push(readTheme(shown(path), await readFile(path, 'utf8')));
  }
  const defects = themes.flatMap((theme) => theme.defects);
  const errors = themes.flatMap((theme) => theme.errors);
  // Only when each file was understood are all ids known.
  if (errors.length === 0) errors.push(...wrongIds(defects, themes));
  if (errors.length > 0) throw new CatalogueError(errors);
  const additions = themes.flatMap((theme) => [
    ...theme.common,
    ...theme.defects.flatMap((defect) => defect.additions),
  ]);
  return { defects: defects.map(({ place: _, ...defect }) => defect), additions };
}

/** A path as it is typed in the repository, so that what is built from it does not depend on where that lies. */
export function shown(path: string): string {
  const below = relative(join(import.meta.dirname, '../..'), path);
  return below.startsWith('..') ? path : below;
}

/** A file of defects. */
interface Theme {
  common: Addition[];
  /** `place`: of the id */
  defects: (Defect & { place: Place })[];
  errors: CaseError[];
}

function readTheme(file: string, yaml: string): Theme {
  try {
    return new ThemeFile(Source.parse(file, yaml), yaml.split('\n')).read();
  } catch (error) {
    if (error instanceof CaseError) return { common: [], defects: [], errors: [error] };
    throw error;
  }
}

type Path = readonly (string | number)[];

class ThemeFile {
  readonly #errors: CaseError[] = [];

  constructor(
    private readonly source: Source,
    private readonly lines: readonly string[],
  ) {}

  read(): Theme {
    const whole = this.#parse(theme, this.source.value, []);
    const defects = (whole?.defects ?? []).flatMap((value, i) => {
      const path = ['defects', i];
      const head = this.#parse(defect, value, path);
      if (!head) return [];
      const additions = this.#additions(head.additions, [...path, 'additions']);
      return [{ ...head, additions, place: this.source.at([...path, 'id']) }];
    });
    return { common: this.#additions(whole?.common ?? [], ['common']), defects, errors: this.#errors };
  }

  #additions(list: readonly object[], path: Path): Addition[] {
    return list.flatMap((value, i) => {
      const at = [...path, i];
      // Only the shape that it has is spoken of in what is wrong with it.
      const parsed = 'top' in value ? this.#parse(atTop, value, at) : this.#parse(atLine, value, at);
      return parsed ? [{ ...parsed, place: this.#codePlace([...at, 'code']) }] : [];
    });
  }

  #parse<T>(schema: z.ZodType<T>, value: unknown, path: Path): T | undefined {
    const result = schema.safeParse(value);
    if (result.success) return result.data;
    this.#errors.push(...caseErrors('ERR_CASE_SHAPE', this.source, path, schema, value, result.error));
    return undefined;
  }

  /** A block's text begins on the line after its indicator. */
  #codePlace(path: Path): Place {
    const place = this.source.at(path);
    const isBlock = /^[|>][-+\d]*\s*(#.*)?$/.test((this.lines[place.line - 1] ?? '').slice(place.column - 1));
    return isBlock ? { ...place, line: place.line + 1, column: 1 } : place;
  }
}

/** Ids that are there twice, ids in code that no defect has, defects that their own code never asks for. */
function wrongIds(defects: Theme['defects'], themes: readonly Theme[]): CaseError[] {
  const known = defects.map(({ id }) => id);
  const twice = defects.filter(({ id }, i) => known.indexOf(id) < i);
  const shared = themes.flatMap(({ common }) => common).flatMap(asked);
  const used = [...shared, ...defects.flatMap(({ additions }) => additions.flatMap(asked))];
  const unknown = used.filter(({ id }) => id === undefined || !known.includes(id));
  const idle = defects.filter(({ id, additions }) => !additions.flatMap(asked).some((use) => use.id === id));
  return [
    ...twice.map(({ id, place }) => new CaseError('ERR_CASE_DUPLICATE', place, 'an id of its own', id)),
    ...unknown.map(({ id = 'something else', place }) => {
      const expected = 'the quoted id of a defect in defect()';
      return new CaseError('ERR_CASE_SHAPE', place, expected, id, didYouMean(id, known));
    }),
    ...idle.map(
      ({ id, place }) =>
        new CaseError('ERR_CASE_SHAPE', place, `defect("${id}") in the code of this defect`, 'no use of it'),
    ),
  ];
}

/** The ids that code asks for, undefined for what is no quoted text. */
function asked({ code, place }: Addition): { id: string | undefined; place: Place }[] {
  return [...code.matchAll(/\bdefect(?:_on_return)?\s*\(\s*(?:"(?<id>[^"]*)")?/g)].map((match) => ({
    id: match.groups?.id,
    place: { ...place, line: place.line + code.slice(0, match.index).split('\n').length - 1 },
  }));
}
