import { z } from 'zod';
import { StepFailed } from '../stage.js';
import type { Verb } from './verb.js';

export const resume: Verb<'peer'> = {
  name: 'resume',
  help: 'The peer goes on with the message that it holds back (its fault `hold`).',
  schema: z.literal('peer'),
  async run(stage) {
    const { session } = stage.peer;
    if (!session) throw new StepFailed('the peer has no session to go on with');
    session.resume();
  },
};
