import type { Scalar } from './placeholder.js';

export type Assignment = Readonly<Record<string, Scalar>>;

/** All combinations, the last key varying fastest; one empty combination for an empty matrix. */
export function combinations(matrix: Readonly<Record<string, readonly Scalar[]>>): Assignment[] {
  return Object.entries(matrix).reduce<Assignment[]>(
    (points, [key, values]) => points.flatMap((point) => values.map((value) => ({ ...point, [key]: value }))),
    [{}],
  );
}

/** Whether an exclusion applies: all that it names is so. */
export function matches(point: Assignment, exclusion: Assignment): boolean {
  return Object.entries(exclusion).every(([key, value]) => point[key] === value);
}
