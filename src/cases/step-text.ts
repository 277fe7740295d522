import { stringify } from 'yaml';
import { z } from 'zod';
import type { Ms } from '../timeline/index.js';
import { bareDurations } from './issues.js';
import type { Step } from './types.js';
import type { Verb } from './verbs/verb.js';

/** A step as a case file would have it, in one line: `restart: { leave: close, away: 3.1s }`. */
export function stepText({ verb: name, params }: Step, verbs: readonly Verb[]): string {
  const written = structuredClone({ params });
  const schema = verbs.find((verb) => verb.name === name)?.schema;
  const durations = schema ? bareDurations(schema, params) : [];
  for (const { path, got } of durations) put(written, ['params', ...path], durationText(got));
  return `${name}: ${stringify(written.params, { collectionStyle: 'flow', lineWidth: 0 }).trim()}`;
}

/** What the parameters of a verb mean, as far as its schema says so. */
export function parameterHelp({ schema }: Verb): { name: string; help: string }[] {
  const { properties, anyOf = [] } = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' });
  return [{ properties }, ...anyOf].flatMap((branch) =>
    Object.entries(branch.properties ?? {}).flatMap(([name, value]) =>
      typeof value === 'object' && value.description ? [{ name, help: value.description }] : [],
    ),
  );
}

const durationText = (ms: Ms) => (ms >= 1000 && ms % 100 === 0 ? `${ms / 1000}s` : `${ms}ms`);

function put(root: unknown, path: readonly PropertyKey[], value: unknown): void {
  const [key, ...rest] = path;
  const node = root as Record<PropertyKey, unknown>;
  if (rest.length === 0) node[key!] = value;
  else put(node[key!], rest, value);
}
