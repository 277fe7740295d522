import { createHash } from 'node:crypto';
import { z } from 'zod';
import { type CShape, type Extent, shapeOf } from './c-text.js';
import type { Addition } from './defects.js';
import { Trouble } from './trouble.js';

const anchorsSchema = z.strictObject({
  source: z.string(),
  functions: z.record(z.string(), z.strictObject({ sha256: z.string(), lines: z.int() })),
});

/** The command that writes anchors. */
const PIN = 'node scripts/tool.mjs test/mutants/main.ts pin';

/** How the functions that have additions looked when these were written. Says so without repeating QEMU's text. */
export interface Anchors {
  /** The version of the source package. */
  source: string;
  /** By `file#function`. `sha256`: the first 16 digits, of the definition's lines; `lines`: how many these are. */
  functions: Record<string, { sha256: string; lines: number }>;
}

/** Reads a file of the QEMU source by its path in it; undefined when there is none. */
export type ReadSource = (file: string) => Promise<string | undefined>;

/** @throws Trouble when the text is not what `pin` wrote */
export function parseAnchors(file: string, text: string): Anchors {
  try {
    return anchorsSchema.parse(JSON.parse(text));
  } catch {
    throw new Trouble(`${file} is damaged`, 'write it anew with the pin command');
  }
}

/** `file` and `function` of each place that has additions, once, sorted. */
function sites(additions: readonly Addition[]): { key: string; file: string; name: string }[] {
  const all = additions.flatMap((a) =>
    'function' in a ? [{ key: `${a.file}#${a.function}`, file: a.file, name: a.function }] : [],
  );
  return [...new Map(all.map((site) => [site.key, site])).values()].sort((a, b) => (a.key < b.key ? -1 : 1));
}

/** The files that have additions, sorted. */
export function touchedFiles(additions: readonly Addition[]): string[] {
  return [...new Set(additions.map(({ file }) => file))].sort();
}

/** The definition of a function, or what is in the way of it, in words that follow `file#function`. */
function find(shape: CShape, name: string): Extent | string {
  const [extent, ...others] = shape.functions.filter((candidate) => candidate.name === name);
  if (!extent) return 'is not there';
  return others.length > 0 ? `is defined ${others.length + 1} times` : extent;
}

function fingerprint(text: string, { first, last }: Extent): { sha256: string; lines: number } {
  const lines = text.split('\n').slice(first - 1, last);
  const sha256 = createHash('sha256').update(lines.join('\n')).digest('hex').slice(0, 16);
  return { sha256, lines: lines.length };
}

/**
 * The anchors of the additions as the given source has them.
 * @throws Trouble naming each function that cannot be found, or has fewer lines than an addition says
 */
export async function pin(additions: readonly Addition[], source: string, read: ReadSource): Promise<Anchors> {
  const functions: Anchors['functions'] = {};
  const wrong: string[] = [];
  for (const { key, file, name } of sites(additions)) {
    const text = await read(file);
    const extent = text === undefined ? 'is not there' : find(shapeOf(text), name);
    if (typeof extent === 'string') wrong.push(`${key} ${extent}`);
    else functions[key] = fingerprint(text!, extent);
  }
  if (wrong.length > 0)
    throw new Trouble(`the source ${source} has no place for the defects:\n  ${wrong.join('\n  ')}`);
  const anchors = { source, functions };
  // What does not go in is better said to the one who writes it.
  for (const file of touchedFiles(additions)) await patched(file, additions, read);
  return anchors;
}

/**
 * Compares the source with what the defects were written for. Another version whose functions are the same fits.
 * @param source the version of the source at hand
 * @throws Trouble naming each function that differs
 */
export async function check(
  additions: readonly Addition[],
  anchors: Anchors,
  source: string,
  read: ReadSource,
): Promise<void> {
  const all = sites(additions);
  const unpinned = all.filter(({ key }) => !anchors.functions[key]);
  if (unpinned.length > 0)
    throw new Trouble(
      `additions to functions that are not pinned: ${unpinned.map(({ key }) => key).join(', ')}`,
      `pin the source that they are written for: ${PIN}`,
    );
  const wrong: string[] = [];
  for (const { key, file, name } of all) {
    const wanted = anchors.functions[key]!;
    const text = await read(file);
    const extent = text === undefined ? 'is not there' : find(shapeOf(text), name);
    if (typeof extent === 'string') {
      wrong.push(`${key} ${extent}`);
      continue;
    }
    const found = fingerprint(text!, extent);
    const said = found.lines === wanted.lines ? 'other text' : `${found.lines} lines instead of ${wanted.lines}`;
    if (found.sha256 !== wanted.sha256) wrong.push(`${key} differs: ${said}`);
  }
  if (wrong.length === 0) return;
  throw new Trouble(
    `the defects are written for the source ${anchors.source}, and do not fit ${source}:\n  ${wrong.join('\n  ')}`,
    `adapt the defects, then pin the source: ${PIN}`,
  );
}

/**
 * A source file with its additions, in their order where several come before the same line. Line
 * directives keep QEMU's own line numbers in its messages, and give the compiler's messages the place in the YAML file.
 * @throws Trouble when an addition does not go in
 */
export async function patched(file: string, additions: readonly Addition[], read: ReadSource): Promise<string> {
  const text = await read(file);
  if (text === undefined) throw new Trouble(`there is no ${file} in the source`);
  const shape = shapeOf(text);
  const inserts = new Map<number, string[]>([[shape.top, ['#include "defect.h"']]]);
  for (const addition of additions) {
    if (addition.file !== file) continue;
    const line = 'top' in addition ? shape.top : lineOf(addition, shape);
    const { place, code } = addition;
    const insert = [`#line ${place.line} "${place.file}"`, code.replace(/\n$/, '')];
    inserts.set(line, [...(inserts.get(line) ?? []), ...insert]);
  }
  return text
    .split('\n')
    .flatMap((content, i) => {
      const before = inserts.get(i + 1);
      return before ? [...before, `#line ${i + 1} "${file}"`, content] : [content];
    })
    .join('\n');
}

/** The line of the file before which an addition goes. */
function lineOf(addition: Extract<Addition, { function: string }>, shape: CShape): number {
  const { place, line } = addition;
  const where = `${place.file}:${place.line}`;
  const extent = find(shape, addition.function);
  if (typeof extent === 'string') throw new Trouble(`${where}: ${addition.file}#${addition.function} ${extent}`);
  const count = extent.last - extent.first + 1;
  if (line > count) throw new Trouble(`${where}: ${addition.function} has ${count} lines, not ${line}`);
  const at = extent.first + line - 1;
  if (!shape.open[at])
    throw new Trouble(`${where}: line ${line} of ${addition.function} is inside of a comment, a string or a directive`);
  return at;
}
