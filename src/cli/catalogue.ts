import { resolve } from 'node:path';
import {
  builtinCases,
  type Case,
  expand,
  loadCatalogue,
  type Scope,
  select,
  type Variant,
  vocabulary,
} from '../cases/index.js';
import { machineTypes } from '../qemu/index.js';
import type { Io } from './io.js';
import { roles } from './settings.js';
import { UsageError } from './usage-error.js';

/** The built-in cases and those of the given folders. @throws CatalogueError */
export function readCatalogue(io: Io, dirs: readonly string[]): Promise<Case[]> {
  return loadCatalogue([builtinCases, ...dirs.map((dir) => resolve(io.cwd, dir))], vocabulary);
}

/** Every variant there is, whatever the scope. */
export function allVariants(cases: readonly Case[]): Variant[] {
  return cases.flatMap((one) => expand(one, { roles, machines: machineTypes }));
}

/**
 * The variants that selectors and scope agree on. A variant that is named by its whole id is taken whatever the scope.
 * @throws SelectorError for an unknown selector, UsageError ERR_NOTHING_SELECTED when the scope leaves none
 */
export function selectVariants(cases: readonly Case[], selectors: readonly string[], scope: Scope): Variant[] {
  const picked = select(allVariants(cases), selectors);
  const inScope = picked.filter(
    ({ id, role, machine }) =>
      selectors.includes(id) || (scope.roles.includes(role) && scope.machines.includes(machine)),
  );
  if (inScope.length > 0) return inScope;
  const asked = `role ${scope.roles.join(', ')} and machine ${scope.machines.join(', ')}`;
  throw new UsageError('ERR_NOTHING_SELECTED', `nothing selected has ${asked}`, 'see `vhost-reconnect list`');
}
