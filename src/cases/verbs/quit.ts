import { z } from 'zod';
import type { Verb } from './verb.js';

export const quit: Verb<'send'> = {
  name: 'quit',
  help: 'Sends QMP quit without waiting. Every variant ends with quit and waits for the exit anyway.',
  schema: z.literal('send'),
  async run(stage) {
    stage.sendQuit();
  },
};
