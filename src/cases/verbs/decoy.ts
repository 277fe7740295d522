import { z } from 'zod';
import { duration } from '../duration.js';
import type { Verb } from './verb.js';

export const decoy: Verb<{ for: number }> = {
  name: 'decoy',
  help: "While the peer is away, a listener of the tester stands at QEMU's path (server role): whoever dials it is seen.",
  schema: z.strictObject({ for: duration }),
  async run(stage, params) {
    await stage.decoy(params.for);
  },
};
