import { z } from 'zod';
import type { Json } from '../../timeline/index.js';
import type { Verb } from './verb.js';

const schema = z.strictObject({ execute: z.string(), arguments: z.json().optional() });

export const qmp: Verb<z.output<typeof schema>> = {
  name: 'qmp',
  help: 'Executes a QMP command and waits for its answer; an error ends the schedule.',
  schema,
  async run(stage, params) {
    await stage.qmp(params.execute, params.arguments as Json | undefined);
  },
};
