import { z } from 'zod';
import type { Verb } from './verb.js';

const packets = z.int().min(1).max(128).describe('Packets per queue pair and direction');

export const traffic: Verb<number | { packets: number; 'in-flight'?: boolean | undefined }> = {
  name: 'traffic',
  help:
    'Sends packets both ways over every queue pair and waits until all arrived. in-flight: half of the transmitted ones ' +
    'stay on the rings, not taken by the peer, and the next step acts at once. Nothing without a driver.',
  schema: z.union([packets, z.strictObject({ packets, 'in-flight': z.boolean().optional() })]),
  async run(stage, params) {
    if (stage.variant.driver === 'none') return;
    if (typeof params === 'number') await stage.traffic(params, false);
    else await stage.traffic(params.packets, params['in-flight'] ?? false);
  },
};
