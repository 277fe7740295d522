import { readFileSync } from 'node:fs';
import { cpus, release, type } from 'node:os';
import type { RunResult } from '../../runner/index.js';
import { count } from '../format.js';

/** A fact about what was tested, by whom, on what. */
export type Fact = readonly [name: string, value: string];

/** What is told elsewhere on the page. */
const elsewhere = new Set(['schema', 'variants', 'summary', 'durationMs', 'notRun', 'interrupted', 'exitCode']);

/** All that a result says of its run, as names and values: `qemu version text`. Whatever it may come to say is there. */
export function factsOf(result: RunResult): Fact[] {
  return Object.entries(result)
    .flatMap(([key, value]) => (elsewhere.has(key) ? [] : flatten(key, value)))
    .map(([name, value]) => [inWords(name), value]);
}

/** `environment.buildId` becomes `build id`. */
const inWords = (name: string) =>
  name
    .replace(/^environment\./, '')
    .replaceAll('.', ' ')
    .replace(/([a-z])([A-Z])/g, (_, a: string, b: string) => `${a} ${b.toLowerCase()}`);

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

/** The machine that this process runs on: kernel, distribution, CPU. */
export function hostFacts(): Fact[] {
  const cores = cpus();
  const distribution = distributionName();
  return [
    ['kernel', `${type()} ${release()}`],
    ...(distribution === undefined ? [] : [['distribution', distribution] as const]),
    ['CPU', `${count(cores.length, 'core')}${cores[0] ? `, ${cores[0].model.trim()}` : ''}`],
  ];
}

/** https://www.freedesktop.org/software/systemd/man/os-release.html; a minimal container may have none. */
function distributionName(): string | undefined {
  try {
    return /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1];
  } catch {
    return undefined;
  }
}
