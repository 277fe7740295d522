import { z } from 'zod';
import { duration } from '../duration.js';
import type { Verb } from './verb.js';

const packets = z.int().min(1).max(128).describe('Packets per queue pair and direction');

const schema = z.union([
  packets,
  z.strictObject({
    packets,
    'in-flight': z.boolean().default(false),
    only: z.enum(['rx', 'tx']).optional().describe('One direction, as the guest sees it'),
    until: z
      .enum(['arrived', 'used'])
      .default('arrived')
      .describe('used: until those transmitted came back as used, by the peer or by QEMU'),
    within: duration.optional().describe('Goes on after so long, whether or not it came to that'),
  }),
]);

export const traffic: Verb<z.output<typeof schema>> = {
  name: 'traffic',
  help:
    'Sends packets both ways over every queue pair and waits until all arrived. in-flight: half of the transmitted ones ' +
    'stay on the rings, not taken by the peer, and the next step acts at once. Nothing without a driver. A guest of its own ' +
    'pings all the time: waits until so many more of its pings were answered.',
  schema,
  async run(stage, params) {
    if (stage.variant.driver === 'none') return;
    if (typeof params === 'number') return stage.traffic({ packets: params });
    const { packets, 'in-flight': inFlight, only, until, within } = params;
    await stage.traffic({
      packets,
      inFlight,
      until,
      ...(only ? { only } : {}),
      ...(within === undefined ? {} : { within }),
    });
  },
};
