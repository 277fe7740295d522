import { z } from 'zod';
import { arrive } from './arrive.js';
import { backSchema, toBack } from './back.js';
import type { Verb } from './verb.js';

const schema = z.union([z.literal('connect'), z.strictObject({ connect: backSchema })]);

export const peer: Verb<z.output<typeof schema>> = {
  name: 'peer',
  help: 'The peer arrives: it dials a listening QEMU, or listens for a dialling one.',
  schema,
  async run(stage, params) {
    await arrive(stage, params === 'connect' ? {} : toBack(params.connect));
  },
};
