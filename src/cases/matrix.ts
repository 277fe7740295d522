import type { Scalar } from './placeholder.js';

export type Assignment = Readonly<Record<string, Scalar>>;

/** All combinations, the last key varying fastest; one empty combination for an empty matrix. */
export function combinations(matrix: Readonly<Record<string, readonly Scalar[]>>): Assignment[] {
  return Object.entries(matrix).reduce<Assignment[]>(
    (points, [key, values]) => points.flatMap((point) => values.map((value) => ({ ...point, [key]: value }))),
    [{}],
  );
}

/** Whether an exclusion or a selection applies: all that it names is so; `*` in a text stands for anything. */
export function matches(point: Assignment, named: Assignment): boolean {
  return Object.entries(named).every(([key, value]) => fits(point[key], value));
}

function fits(given: Scalar | undefined, named: Scalar): boolean {
  if (given === undefined || typeof named !== 'string' || !named.includes('*')) return given === named;
  return wildcard(named).test(String(given));
}

/** The texts that a pattern stands for: `*` is anything. */
export function wildcard(pattern: string): RegExp {
  return new RegExp(`^${pattern.split('*').map(literal).join('.*')}$`);
}

/** A text as a part of a regular expression that stands for just it. */
export const literal = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
