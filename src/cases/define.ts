import { stringify } from 'yaml';
import type { z } from 'zod';
import type { head, setting } from './definition.js';
import { CatalogueError } from './error.js';
import { loadCase } from './load.js';
import type { Case } from './types.js';
import { vocabulary } from './vocabulary.js';

/**
 * What a case file holds, as a value: the fields that it says of itself, those of its setting, and the steps. CONTRIBUTING.md
 * has the form of steps and durations, which is the same as in a file: `{ restart: { leave: 'close', away: '200ms', back: 'same' } }`.
 */
export type CaseDefinition = z.input<typeof head> &
  Partial<Record<keyof z.input<typeof setting>, unknown>> & { steps: readonly Readonly<Record<string, unknown>>[] };

/**
 * A case that is written in a program. Its variants are what `expand` makes of it.
 * @param name what mistakes are reported of, in place of a file
 * @throws CatalogueError with all mistakes, each with its line in the case as YAML
 */
export function defineCase(definition: CaseDefinition, name: string = definition?.id ?? 'case'): Case {
  const loaded = loadCase(name, stringify(definition, { aliasDuplicateObjects: false }), vocabulary);
  if (Array.isArray(loaded)) throw new CatalogueError(loaded);
  return loaded;
}
