import { z } from 'zod';
import type { Ms } from '../timeline/index.js';

/** How a duration is written: `0ms`, `200ms`, `2.9s`. */
export const durationPattern = /^(\d+(?:\.\d+)?)(ms|s)$/;

/** A duration inside a step: milliseconds, after the loader has turned `2.9s` into 2900. */
export const duration = z.number().min(0).meta({ title: 'duration' });

/** @returns the milliseconds of `2.9s` or `200ms`; undefined when the text is no duration. */
export function parseDuration(text: string): Ms | undefined {
  const match = durationPattern.exec(text);
  if (!match) return undefined;
  // Rounded to microseconds: 2.9 * 1000 is not 2900 in binary floating point.
  return Math.round(Number(match[1]) * (match[2] === 's' ? 1_000_000 : 1000)) / 1000;
}

/** Turns every string that is a duration into milliseconds, at any depth; `total` is their sum. */
export function resolveDurations(value: unknown): { value: unknown; total: Ms } {
  let total = 0;
  const walk = (node: unknown): unknown => {
    if (typeof node === 'string') {
      const ms = parseDuration(node);
      if (ms !== undefined) total += ms;
      return ms ?? node;
    }
    if (Array.isArray(node)) return node.map(walk);
    if (node !== null && typeof node === 'object')
      return Object.fromEntries(Object.entries(node).map(([key, child]) => [key, walk(child)]));
    return node;
  };
  return { value: walk(value), total };
}
