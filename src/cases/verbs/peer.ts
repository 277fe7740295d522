import { z } from 'zod';
import { arrive } from './arrive.js';
import type { Verb } from './verb.js';

export const peer: Verb<'connect'> = {
  name: 'peer',
  help: 'The peer arrives: it dials a listening QEMU, or listens for a dialling one.',
  schema: z.literal('connect'),
  async run(stage) {
    await arrive(stage, {}, true);
  },
};
