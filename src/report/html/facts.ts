import type { RunResult } from '../../runner/index.js';

/** A fact about what was tested, by whom, on what. */
export type Fact = readonly [name: string, value: string];

/** What is told elsewhere on the page. */
const elsewhere = new Set(['schema', 'variants', 'summary', 'durationMs', 'notRun', 'interrupted', 'exitCode']);

/** All that a result says of its run, as names and values: `qemu version text`. Whatever it may come to say is there. */
export function factsOf({ hosts, ...result }: RunResult): Fact[] {
  const [host, ...others] = hosts;
  return Object.entries({ ...result, ...(others.length === 0 ? { host } : { hosts }) })
    .flatMap(([key, value]) => (elsewhere.has(key) ? [] : flatten(key, value)))
    .map(([name, value]) => [inWords(name), value]);
}

/** `qemu.buildId` becomes `qemu build id`. */
const inWords = (name: string) =>
  name.replaceAll('.', ' ').replace(/([a-z])([A-Z])/g, (_, a: string, b: string) => `${a} ${b.toLowerCase()}`);

function flatten(name: string, value: unknown): Fact[] {
  if (value === undefined || value === null || value === '') return [];
  if (Array.isArray(value)) {
    const plain = value.every((one) => one === null || typeof one !== 'object');
    if (value.length === 0) return [];
    return plain ? [[name, value.join(' ')]] : value.flatMap((one, i) => flatten(`${name}.${i + 1}`, one));
  }
  if (typeof value === 'object') return Object.entries(value).flatMap(([key, one]) => flatten(`${name}.${key}`, one));
  return [[name, String(value)]];
}
