import { z } from 'zod';
import { bit, type FeatureName, virtioFeatures, virtioNetFeatures } from '../../wire/index.js';
import type { Verb } from './verb.js';

const features: Partial<Record<FeatureName, number>> = { ...virtioFeatures, ...virtioNetFeatures };

const start = z.strictObject({
  decline: z
    .array(z.enum(Object.keys(features) as [FeatureName, ...FeatureName[]]))
    .default([])
    .describe('Feature bits that it declines although it knows them'),
  pairs: z.int().min(1).max(8).optional().describe('Queue pairs that it uses; else all of the device'),
});

const schema = z.union([z.enum(['start', 'reset']), z.strictObject({ start })]);

export const driver: Verb<z.output<typeof schema>> = {
  name: 'driver',
  help:
    'The guest driver resets the device, or starts it anew, with rings elsewhere in memory than before. Nothing without a ' +
    'driver.',
  schema,
  async run(stage, action) {
    if (stage.variant.driver === 'none') return;
    if (action === 'reset') return stage.resetDriver();
    if (action === 'start') return stage.startDriver();
    const { decline, pairs } = action.start;
    await stage.startDriver({
      decline: decline.reduce((mask, name) => mask | bit(features[name]!), 0n),
      ...(pairs === undefined ? {} : { pairs }),
    });
  },
};
