import { z } from 'zod';
import { head, setting, stepSchema, type Vocabulary } from './definition.js';
import { durationPattern } from './duration.js';

interface Node {
  [key: string]: unknown;
}
const isNode = (value: unknown): value is Node => value !== null && typeof value === 'object' && !Array.isArray(value);

const toNode = (schema: z.ZodType): Node => z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Node;
const placeholder: Node = { type: 'string', pattern: '^\\$[a-z][A-Za-z0-9]*$', title: 'placeholder' };

/** Where a fixed value is asked for, a file may also have a placeholder; a duration is written with its unit. */
function asWritten(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(asWritten);
  if (!isNode(value)) return value;
  const { description, default: preset, ...rest } = value;
  const around = {
    ...(description !== undefined && { description }),
    ...(preset !== undefined && { default: preset }),
  };
  if (rest.title === 'duration') {
    const written = { anyOf: [{ const: 0 }, { type: 'string', pattern: durationPattern.source }, placeholder] };
    return { ...around, ...(preset !== undefined && { default: `${preset}ms` }), ...written };
  }
  if (['integer', 'number', 'boolean'].includes(String(rest.type)) || 'enum' in rest || 'const' in rest)
    return { ...around, anyOf: [rest, placeholder] };
  if ('pattern' in rest) return { ...around, anyOf: [rest, placeholder] };
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, asWritten(child)]));
}

/** The JSON Schema of a case file, from the definitions that the loader validates with. For editors. */
export function caseSchema({ verbs, profiles }: Vocabulary): Node {
  const { properties: about, required = [] } = toNode(head);
  const full = setting.extend({
    profile: z.enum(profiles as [string]).optional(),
    steps: z.array(stepSchema(verbs)).min(1).describe('What happens, in order'),
  });
  const { properties: fields, required: needed = [], $defs = {} } = toNode(full);
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'A case of the vhost-user reconnect conformance tester',
    type: 'object',
    properties: { ...(about as Node), ...(asWritten(fields) as Node) },
    required: [...(required as string[]), ...(needed as string[])],
    additionalProperties: false,
    $defs: asWritten($defs),
  };
}
