import { z } from 'zod';
import type { Verb } from './verb.js';

const schema = z.union([
  z.literal('free'),
  z.strictObject({ spare: z.int().min(0).max(1000).describe('How many more it can open') }),
]);

export const descriptors: Verb<z.output<typeof schema>> = {
  name: 'descriptors',
  help: 'Limits how many file descriptors QEMU can open beyond those that it has now; free: as many as at its start again.',
  schema,
  async run(stage, params) {
    stage.descriptors(params === 'free' ? 'free' : params.spare);
  },
};
