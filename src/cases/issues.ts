import { z } from 'zod';
import { CaseError, type CaseErrorCode } from './error.js';
import { didYouMean } from './nearest.js';
import type { Path, Source } from './source.js';

type Issue = z.core.$ZodIssue;
/** One mistake in a value. */
export interface Finding {
  path: Path;
  expected: string;
  got: string;
  hint?: string | undefined;
  ofKey?: boolean;
}

/** A value as an operator would recognise it in the file. */
export function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

const at = (value: unknown, path: Path): unknown =>
  path.reduce<unknown>((node, part) => (node as Record<PropertyKey, unknown> | null | undefined)?.[part], value);

/** The schemas that a value at `path` may be held against: several below a union. */
function schemasAt(schema: unknown, path: Path): z.core.$ZodType[] {
  const type = schema as z.core.$ZodType | undefined;
  const def = type?._zod.def as
    | { type: string; shape?: Keys; element?: unknown; innerType?: unknown; in?: unknown; options?: unknown[] }
    | undefined;
  if (!type || !def) return [];
  if (def.type === 'union') return (def.options ?? []).flatMap((option) => schemasAt(option, path));
  if (def.innerType ?? def.in) return schemasAt(def.innerType ?? def.in, path);
  const [head, ...rest] = path;
  if (head === undefined) return [type];
  if (def.type === 'array') return schemasAt(def.element, rest);
  return schemasAt(def.shape?.[head], rest);
}
type Keys = Record<PropertyKey, unknown>;

/** The keys that objects at `path` may have, by the schema itself. */
function keysAt(schema: unknown, path: Path): string[] {
  return schemasAt(schema, path).flatMap((type) => Object.keys((type._zod.def as { shape?: Keys }).shape ?? {}));
}

/** The numbers in a value that stand for a duration but have no unit; 0 needs none. */
export function bareDurations(schema: z.ZodType, value: unknown, path: Path = []): { path: Path; got: number }[] {
  if (typeof value === 'number') {
    const wanted = schemasAt(schema, path).some((type) => z.globalRegistry.get(type)?.title === 'duration');
    return wanted && value !== 0 ? [{ path, got: value }] : [];
  }
  if (value === null || typeof value !== 'object') return [];
  return Object.entries(value).flatMap(([key, child]) => bareDurations(schema, child, [...path, key]));
}

/** The alternative of a union that the value came nearest to: the one whose complaint lies deepest. */
function finest(branches: readonly (readonly Issue[])[]): readonly Issue[] | undefined {
  const depth = (issues: readonly Issue[]) => Math.max(...issues.map(depthOf));
  const inner = branches.filter((issues) => issues.some((issue) => depthOf(issue) > 0));
  return inner.sort((a, b) => depth(b) - depth(a) || a.length - b.length)[0];
}
const depthOf = (issue: Issue): number => issue.path.length + (issue.code === 'unrecognized_keys' ? 1 : 0);

const typeNames: Record<string, string> = { object: 'a mapping', array: 'a list', int: 'a whole number' };
const typeName = (type: string): string => typeNames[type] ?? `a ${type}`;

function expectation(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return typeName(issue.expected);
    case 'invalid_value':
      return issue.values
        .map(String)
        .join(', ')
        .replace(/, ([^,]*)$/, ' or $1');
    case 'too_small':
      if (issue.origin === 'string') return 'some text';
      return issue.origin === 'array' ? `at least ${issue.minimum} item(s)` : `at least ${issue.minimum}`;
    case 'too_big':
      return issue.origin === 'array' ? `at most ${issue.maximum} item(s)` : `at most ${issue.maximum}`;
    case 'invalid_union':
      return [...new Set(issue.errors.flatMap((branch) => branch.map(expectation)))].join(' or ');
    default:
      // Refinements and formats in this code base phrase their message as what is expected.
      return issue.message;
  }
}

/** What is wrong with a value, for one issue of zod's. @param base where `value` stands in the whole */
export function findings(schema: unknown, value: unknown, issue: Issue, base: Path): Finding[] {
  const path = [...base, ...issue.path];
  const got = at(value, path);
  if (issue.code === 'invalid_union') {
    const branch = finest(issue.errors);
    if (branch) return branch.flatMap((inner) => findings(schema, value, inner, path));
  }
  if (issue.code === 'unrecognized_keys') {
    const known = keysAt(schema, path);
    return issue.keys.map((key) => ({
      path: [...path, key],
      expected: known.length > 0 ? `one of the keys ${known.join(', ')}` : 'no further key',
      got: show(key),
      hint: didYouMean(key, known),
      ofKey: true,
    }));
  }
  const key = path.at(-1);
  if (got === undefined && typeof key === 'string')
    return [{ path, expected: `a value for ${key} (${expectation(issue)})`, got: 'none' }];
  const choices = issue.code === 'invalid_value' ? issue.values.map(String) : [];
  return [{ path, expected: expectation(issue), got: show(got), hint: didYouMean(String(got), choices) }];
}

/**
 * Turns what zod found into errors with places.
 * @param base where `value` stands in the file.
 */
export function caseErrors(
  code: CaseErrorCode,
  source: Source,
  base: Path,
  schema: z.ZodType,
  value: unknown,
  error: z.ZodError,
): CaseError[] {
  return error.issues
    .flatMap((issue) => findings(schema, value, issue as Issue, []))
    .map(
      ({ path, expected, got, hint, ofKey }) =>
        new CaseError(code, source.at([...base, ...path], ofKey ? 'key' : 'value'), expected, got, hint),
    );
}
