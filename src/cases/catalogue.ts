import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Vocabulary } from './definition.js';
import { CaseError, CatalogueError } from './error.js';
import { loadCase } from './load.js';
import type { Case } from './types.js';

/** The catalogue that comes with the package. */
export const builtinCases = fileURLToPath(new URL('../../cases', import.meta.url));

/** A path as an operator would type it: relative where that does not climb out of the working directory. */
function shown(file: string): string {
  const path = relative(process.cwd(), file);
  return path.startsWith('..') ? file : path;
}

async function caseFiles(dir: string): Promise<string[]> {
  try {
    const entries = await readdir(dir, { withFileTypes: true, recursive: true });
    return entries
      .filter((entry) => entry.isFile() && /\.ya?ml$/.test(entry.name))
      .map((entry) => join(entry.parentPath, entry.name))
      .sort();
  } catch (error) {
    const place = { file: shown(dir), line: 1, column: 1 };
    throw new CaseError(
      'ERR_CASE_FILE',
      place,
      'a folder with case files',
      (error as NodeJS.ErrnoException).code ?? String(error),
    );
  }
}

/**
 * Loads and validates every `.yaml` below the folders, sorted by id.
 * @throws CatalogueError with all mistakes of all files.
 */
export async function loadCatalogue(dirs: readonly string[], vocabulary: Vocabulary): Promise<Case[]> {
  const errors: CaseError[] = [];
  const cases = new Map<string, Case>();
  for (const dir of dirs) {
    const files = await caseFiles(dir).catch((error: unknown) => {
      if (!(error instanceof CaseError)) throw error;
      errors.push(error);
      return [];
    });
    for (const file of files) {
      const loaded = loadCase(shown(file), await readFile(file, 'utf8'), vocabulary);
      if (Array.isArray(loaded)) {
        errors.push(...loaded);
        continue;
      }
      const other = cases.get(loaded.id);
      if (other) {
        const place = { file: loaded.file, line: 1, column: 1 };
        errors.push(
          new CaseError('ERR_CASE_DUPLICATE', place, 'an id of its own', loaded.id, `it is in ${other.file} too`),
        );
      } else cases.set(loaded.id, loaded);
    }
  }
  if (errors.length > 0) throw new CatalogueError(errors);
  return [...cases.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}
