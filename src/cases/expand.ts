import type { MachineType } from '../qemu/index.js';
import type { Role } from '../timeline/index.js';
import { type Selection, selections } from './definition.js';
import { type Assignment, matches } from './matrix.js';
import type { Case, Point, Variant } from './types.js';

/** The machine that an id does not name. */
export const defaultMachine: MachineType = 'q35';

/** What to expand a case for; what the case does not apply to is left out. */
export interface Scope {
  roles: readonly Role[];
  machines: readonly MachineType[];
}

/** The variants of a case: roles x machines x matrix, in the order of the file. Ids do not depend on the scope. */
export function expand(definition: Case, scope: Scope): Variant[] {
  return definition.roles
    .filter((role) => scope.roles.includes(role))
    .flatMap((role) =>
      definition.machines
        .filter((machine) => scope.machines.includes(machine))
        .flatMap((machine) =>
          definition.points
            .filter(({ params }) => !definition.exclude.some((exclusion) => matches({ ...params, role }, exclusion)))
            .map((point) => variantOf(definition, role, machine, point)),
        ),
    );
}

function variantOf(definition: Case, role: Role, machine: MachineType, point: Point): Variant {
  const { id, title, level, why, references } = definition;
  const { params, reconnectMs, discovery, ...rest } = point;
  const fine = role === 'client' && reconnectMs % 1000 !== 0 && given(point) === undefined;
  return {
    id: variantId(definition, role, machine, point),
    caseId: id,
    title,
    level,
    why,
    references,
    role,
    machine,
    usual: machine === usualMachine(definition),
    // A listening chardev has no reconnect option: QEMU refuses the combination.
    reconnectMs: role === 'server' ? 0 : (given(point) ?? reconnectMs),
    needs: [...new Set([...definition.needs, ...(fine ? ['reconnect-ms'] : [])])],
    params: { ...params },
    selection:
      point.driver === 'guest' ? 'guest' : selectionOf(definition, { ...params, role, machine }, discovery?.key),
    ...rest,
    ...(discovery && {
      discovery: {
        key: discovery.key,
        with: (value: string) => variantOf(definition, role, machine, discovery.with(value)),
      },
    }),
  };
}

/** The interval that options of the case's own ask for. */
function given({ chardev = {} }: Point): number | undefined {
  const { reconnect, 'reconnect-ms': ms } = chardev;
  if (ms !== undefined) return Number(ms);
  return reconnect === undefined ? undefined : 1000 * Number(reconnect);
}

/**
 * The smallest selection that has a combination. One that names no machine means the usual one. A dry run, whose key is
 * still open, is in each that has something for it to discover.
 */
function selectionOf({ selections: parts, machines }: Case, point: Assignment, open?: string): Selection {
  const has = (named: Assignment) => {
    const closed = Object.entries(named).filter(([key]) => key !== open);
    return matches(point, { machine: usualMachine({ machines }), ...Object.fromEntries(closed) });
  };
  const part = (['quick', 'standard'] as const).find((selection) => parts[selection].some(has));
  return part ?? 'full';
}

/** The machine that a case runs on where nobody asks for another. */
const usualMachine = ({ machines }: Pick<Case, 'machines'>): MachineType =>
  machines.includes(defaultMachine) ? defaultMachine : machines[0]!;

/** Whether a selection has a variant. */
export function includes(selection: Selection, variant: Pick<Variant, 'selection'>): boolean {
  if (selection === 'full' || selection === 'guest' || variant.selection === 'guest')
    return selection === 'full' || selection === variant.selection;
  return selections.indexOf(variant.selection) <= selections.indexOf(selection);
}

function variantId(definition: Case, role: Role, machine: MachineType, { params }: Point): string {
  const parts = [
    ...(definition.roles.length > 1 ? [`role=${role}`] : []),
    ...Object.entries(params).map(([key, value]) => `${key}=${value}`),
    ...(machine === defaultMachine ? [] : [`machine=${machine}`]),
  ];
  return parts.length > 0 ? `${definition.id}[${parts.join(',')}]` : definition.id;
}
