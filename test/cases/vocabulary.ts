import { z } from 'zod';
import type { Vocabulary } from '../../src/cases/definition.js';
import { duration } from '../../src/cases/duration.js';
import type { Verb } from '../../src/cases/verbs/verb.js';

const verb = (name: string, schema: z.ZodType): Verb => ({ name, help: `Does ${name}.`, schema, run: async () => {} });

/** A small vocabulary, so that these tests do not depend on the verbs of the product. */
export const vocabulary: Vocabulary = {
  verbs: [
    verb('peer', z.literal('connect')),
    verb('phase', z.strictObject({ cut: z.string().regex(/^(none|SET_\w+)$/, 'a cut') })),
    verb('await', z.enum(['ready', 'handshake'])),
    verb('traffic', z.union([z.int().min(1), z.strictObject({ packets: z.int().min(1), 'in-flight': z.boolean() })])),
    verb(
      'restart',
      z.strictObject({
        leave: z.enum(['close', 'abort']).default('close'),
        away: z.union([duration, z.literal('before-leave')]),
        back: z.union([z.enum(['same', 'never']), z.strictObject({ stall: z.string() })]).default('same'),
      }),
    ),
  ],
  profiles: ['ovs-dpdk-3.1', 'testpmd-22.11'],
};

/** A whole case: the head that all tests share, then the given lines. */
export function caseText(lines: string, head: Record<string, string> = {}): string {
  const fields = {
    id: 'server.absence.example',
    title: 'An example',
    level: 'must',
    why: 'It shows something.',
    references: '[contract:R8]',
    roles: '[server]',
    ...head,
  };
  return `${Object.entries(fields)
    .map(([key, value]) => `${key}: ${value}`)
    .join('\n')}\n${lines}`;
}
