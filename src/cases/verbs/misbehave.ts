import type { z } from 'zod';
import { StepFailed } from '../stage.js';
import { given, misbehaviour } from './back.js';
import type { Verb } from './verb.js';

export const misbehave: Verb<z.output<typeof misbehaviour>> = {
  name: 'misbehave',
  help: 'The connected peer does something wrong at once, with nothing under way.',
  schema: misbehaviour,
  async run(stage, params) {
    const { session } = stage.peer;
    if (!session) throw new StepFailed('the peer has no session to misbehave in');
    session.misbehave(given(params));
  },
};
