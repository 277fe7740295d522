import { resolve } from 'node:path';
import {
  builtinCases,
  type Case,
  expand,
  includes,
  loadCatalogue,
  picks,
  type Scope,
  type Selection,
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

/** What a command is asked to take of the catalogue. */
export interface Wish {
  selectors: readonly string[];
  roles: Scope['roles'];
  /** usual: q35, or what a case has instead. */
  machines: Scope['machines'] | 'usual';
  selection: Selection;
}

/** The wish of a command line: who names something means all of it, unless he says how much. */
export function wishOf(argv: {
  selector: string[];
  role: Scope['roles'];
  machine?: Scope['machines'] | undefined;
  selection?: Selection | undefined;
}): Wish {
  const { selector: selectors, role: roles, machine: machines = 'usual' } = argv;
  return { selectors, roles, machines, selection: argv.selection ?? (selectors.length > 0 ? 'full' : 'quick') };
}

/** Whether a variant is wished for. One that is named by its whole id is, whatever the scope and the selection. */
export function isWanted(variant: Variant, { selectors, roles, machines, selection }: Wish): boolean {
  const { id, role, machine } = variant;
  if (selectors.includes(id)) return true;
  if (selectors.length > 0 && !selectors.some((selector) => picks(selector, variant))) return false;
  const onMachine = machines === 'usual' ? variant.usual : machines.includes(machine);
  return roles.includes(role) && onMachine && includes(selection, variant);
}

/**
 * The variants that are wished for.
 * @throws SelectorError for an unknown selector, UsageError ERR_NOTHING_SELECTED when scope and selection leave none
 */
export function selectVariants(cases: readonly Case[], wish: Wish): Variant[] {
  const wanted = select(allVariants(cases), wish.selectors).filter((variant) => isWanted(variant, wish));
  if (wanted.length > 0) return wanted;
  const { roles, machines, selection } = wish;
  const machine = machines === 'usual' ? '' : ` and machine ${machines.join(', ')}`;
  const asked = `role ${roles.join(', ')}${machine} in the selection ${selection}`;
  throw new UsageError('ERR_NOTHING_SELECTED', `nothing selected has ${asked}`, 'see `vhost-reconnect list`');
}
