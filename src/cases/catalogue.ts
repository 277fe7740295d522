import { readdir, readFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Vocabulary } from './definition.js';
import { CaseError, CatalogueError } from './error.js';
import { loadCase } from './load.js';
import { Source } from './source.js';
import type { Case } from './types.js';

/** The catalogue that comes with the package. */
export const builtinCases = fileURLToPath(new URL('../../cases', import.meta.url));

/** A path as an operator would type it: relative where that does not climb out of the working directory. */
export function shownPath(file: string): string {
  const path = relative(process.cwd(), file);
  return path.startsWith('..') ? file : path;
}

async function caseFiles(dir: string): Promise<string[]> {
  try {
    const entries = await readdir(dir, { withFileTypes: true, recursive: true });
    const files = entries
      .filter((entry) => entry.isFile() && /\.ya?ml$/.test(entry.name))
      .map((entry) => join(entry.parentPath, entry.name))
      // Beside the cases stand what is expected of them.
      .filter((file) => dirname(file) !== join(dir, 'expected'))
      .sort();
    if (files.length === 0) throw unreadable(dir, 'a folder with case files', 'none', 'their names end in .yaml');
    return files;
  } catch (error) {
    if (error instanceof CaseError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    const hint = code === 'ENOTDIR' ? 'give the folder that the file is in' : undefined;
    throw unreadable(dir, 'a folder with case files', code ?? String(error), hint);
  }
}

/** The text of a case file. @throws CaseError */
async function readCase(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw unreadable(file, 'a file that can be read', (error as NodeJS.ErrnoException).code ?? String(error));
  }
}

function unreadable(path: string, expected: string, got: string, hint?: string): CaseError {
  return new CaseError('ERR_CASE_FILE', { file: shownPath(path), line: 1, column: 1 }, expected, got, hint);
}

/**
 * Loads and validates every `.yaml` below the folders, sorted by id; not those of their folder `expected`.
 * @throws CatalogueError with all mistakes of all files.
 */
export async function loadCatalogue(dirs: readonly string[], vocabulary: Vocabulary): Promise<Case[]> {
  const errors: CaseError[] = [];
  const cases = new Map<string, Case>();
  const orNote = (error: unknown) => {
    if (!(error instanceof CaseError)) throw error;
    errors.push(error);
    return undefined;
  };
  for (const dir of dirs) {
    for (const file of (await caseFiles(dir).catch(orNote)) ?? []) {
      const text = await readCase(file).catch(orNote);
      if (text === undefined) continue;
      const loaded = loadCase(shownPath(file), text, vocabulary);
      if (Array.isArray(loaded)) {
        errors.push(...loaded);
        continue;
      }
      const other = cases.get(loaded.id);
      if (other) {
        const place = Source.parse(loaded.file, text).at(['id']);
        const hint = `it is in ${other.file} too`;
        errors.push(new CaseError('ERR_CASE_DUPLICATE', place, 'an id of its own', loaded.id, hint));
      } else cases.set(loaded.id, loaded);
    }
  }
  if (errors.length > 0) throw new CatalogueError(errors);
  return [...cases.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}
