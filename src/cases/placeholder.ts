import type { Path } from './source.js';

/** A value that the matrix can give. */
export type Scalar = string | number | boolean;

/** How a placeholder is written: a `$` and a name of letters and digits. */
export const placeholderPattern = /\$([a-z][A-Za-z0-9]*)/g;
const whole = /^\$([a-z][A-Za-z0-9]*)$/;

/** The placeholders in a value at any depth (not in keys), with their paths. */
export function placeholders(value: unknown, path: Path = []): { name: string; path: Path }[] {
  if (typeof value === 'string') return [...value.matchAll(placeholderPattern)].map((m) => ({ name: m[1]!, path }));
  if (value === null || typeof value !== 'object') return [];
  return Object.entries(value).flatMap(([key, child]) => placeholders(child, [...path, key]));
}

/**
 * A copy of the value with its placeholders filled. One that is the whole string keeps the type of its value; inside a
 * longer string it becomes text. Names without a value stay as they are: the loader has refused them before.
 */
export function fill(value: unknown, values: Readonly<Record<string, Scalar>>): unknown {
  if (typeof value === 'string') {
    const name = whole.exec(value)?.[1];
    if (name !== undefined) return values[name] ?? value;
    return value.replace(placeholderPattern, (text, inner: string) => String(values[inner] ?? text));
  }
  if (Array.isArray(value)) return value.map((child) => fill(child, values));
  if (value !== null && typeof value === 'object')
    return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, fill(child, values)]));
  return value;
}
