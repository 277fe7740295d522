import { z } from 'zod';
import type { Json } from '../../timeline/index.js';
import { type CommandAnswer, commandAnswers } from '../stage.js';
import type { Verb } from './verb.js';

const schema = z.strictObject({
  execute: z.string(),
  arguments: z.json().optional(),
  answer: z
    .enum(commandAnswers)
    .default('done')
    .describe('What is to come back: done, refused, or either; anything else ends the schedule'),
  wait: z.boolean().default(true).describe('false: goes on at once; `await: commands` waits for the answer'),
});

export const qmp: Verb<{
  execute: string;
  arguments?: z.core.util.JSONType | undefined;
  answer: CommandAnswer;
  wait: boolean;
}> = {
  name: 'qmp',
  help: 'Executes a QMP command, and waits for its answer unless told otherwise.',
  schema,
  async run(stage, { execute, arguments: args, answer, wait }) {
    const answered = stage.qmp(execute, args as Json | undefined, answer);
    if (wait) await answered;
    else stage.begin(`QMP ${execute}`, answered);
  },
};
