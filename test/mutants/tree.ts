import { randomUUID } from 'node:crypto';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ReadSource } from './anchors.js';
import { readIfThere, writeWhole } from './cache.js';
import { failed, run, type Surroundings } from './commands.js';

/** In the tree: the files that may differ from the source, one a line. */
const CHANGED = '.mutants-changed';
/** In the tree: a name that no other tree has. */
const NAME = '.mutants-tree';

/** Reads the files of a folder by their paths in it. */
export function readerOf(dir: string): ReadSource {
  return (file) => readIfThere(join(dir, file));
}

/**
 * Makes the tree that is compiled, once: hard links to the source, which stays as it is, since a file is only ever
 * replaced as a whole.
 */
export async function makeTree(source: string, tree: string, surroundings: Surroundings): Promise<void> {
  if ((await readIfThere(join(tree, NAME))) !== undefined) return;
  const partial = `${tree}.partial`;
  await rm(tree, { recursive: true, force: true });
  await rm(partial, { recursive: true, force: true });
  const task = 'copying the source';
  const ending = await run({ task, argv: ['cp', '--archive', '--link', source, partial], cwd: '/' }, surroundings);
  if (ending.code !== 0) throw failed('the source could not be copied', ending, surroundings);
  await writeFile(join(partial, NAME), randomUUID());
  await rename(partial, tree);
}

/** What tells this tree from one that was made anew: objects that were compiled from another one are worth nothing. */
export function nameOf(tree: string): Promise<string> {
  return readFile(join(tree, NAME), 'utf8');
}

/**
 * Brings the tree to the source with the given files in place of its own. Only what differs is written, and gets a new
 * time, so that just that is compiled again.
 * @param files their text, by path in the tree
 */
export async function updateTree(source: string, tree: string, files: ReadonlyMap<string, string>): Promise<void> {
  const before = ((await readIfThere(join(tree, CHANGED))) ?? '').split('\n').filter((name) => name !== '');
  const all = [...new Set([...before, ...files.keys()])];
  // Before the first change, so that no interruption leaves one that is not on the list.
  await writeWhole(join(tree, CHANGED), all.join('\n'));
  for (const file of all) {
    const wanted = files.get(file) ?? (await readIfThere(join(source, file)));
    const path = join(tree, file);
    if (wanted === (await readIfThere(path))) continue;
    if (wanted === undefined) await rm(path);
    else await writeWhole(path, wanted);
  }
  await writeWhole(join(tree, CHANGED), [...files.keys()].join('\n'));
}
