import { z } from 'zod';
import type { Verb } from './verb.js';

export const resume: Verb<'peer'> = {
  name: 'resume',
  help: 'The peer goes on with the message that it holds back (its fault `hold`).',
  schema: z.literal('peer'),
  async run(stage) {
    stage.peer.resume();
  },
};
