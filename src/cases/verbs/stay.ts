import { duration } from '../duration.js';
import type { Verb } from './verb.js';

export const stay: Verb<number> = {
  name: 'stay',
  help: 'All stays as it is for so long: what must not come, or must have ended, has the time to show.',
  schema: duration,
  async run(stage, ms) {
    await stage.pass(ms);
  },
};
