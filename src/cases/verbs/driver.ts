import { z } from 'zod';
import type { Verb } from './verb.js';

export const driver: Verb<'start' | 'reset'> = {
  name: 'driver',
  help: 'The guest driver resets the device, or starts it anew. Nothing without a driver.',
  schema: z.enum(['start', 'reset']),
  async run(stage, action) {
    if (stage.variant.driver !== 'none') await stage.driver(action);
  },
};
