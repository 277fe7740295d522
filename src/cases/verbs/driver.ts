import { z } from 'zod';
import { frameShapes } from '../../driver/index.js';
import { bit, type FeatureName, virtioFeatures, virtioNetFeatures } from '../../wire/index.js';
import type { Stage } from '../stage.js';
import type { Verb } from './verb.js';

const features: Partial<Record<FeatureName, number>> = { ...virtioFeatures, ...virtioNetFeatures };

const start = z.strictObject({
  decline: z
    .array(z.enum(Object.keys(features) as [FeatureName, ...FeatureName[]]))
    .default([])
    .describe('Feature bits that it declines although it knows them'),
  'event-idx': z.boolean().default(true).describe('false: it declines VIRTIO_RING_F_EVENT_IDX'),
  indirect: z.boolean().default(true).describe('false: it declines VIRTIO_RING_F_INDIRECT_DESC'),
  frame: z
    .enum(frameShapes)
    .default('whole')
    .describe(
      'How frames lie in buffers: whole = with their header in one piece; apart = in two, through an indirect table unless that ' +
        'was declined; halves = received in two buffers each, which the peer merges (MRG_RXBUF)',
    ),
  pairs: z.int().min(1).max(8).optional().describe('Queue pairs that it uses; else all of the device'),
  'ring-size': z
    .literal([16, 32, 64, 128, 256])
    .optional()
    .describe('Descriptors of each of its rings; else all that the device has, up to 256'),
});

const wait = z.boolean().default(true).describe('false: goes on at once; `await: commands` waits for it');

const schema = z.union([
  z.enum(['start', 'reset', 'eject', 'keep-kicking', 'keep-sending', 'rest']),
  z.strictObject({ start: start.prefault({}), wait }),
  z.strictObject({ reset: z.strictObject({}), wait }),
  z.strictObject({
    pairs: z.int().min(1).max(8).describe('Queue pairs to use from now on, of those that it started with'),
    wait,
  }),
]);

export const driver: Verb<z.output<typeof schema>> = {
  name: 'driver',
  help:
    'The guest driver resets the device, or starts it anew, with rings elsewhere in memory than before. keep-kicking: from now ' +
    'on it notifies its TX rings again and again, whatever the device says to that, and as fast as it can while a peer ' +
    'returns to a listening QEMU; keep-sending: the same with a packet before each kick; rest ends it. Nothing without ' +
    'a driver. eject: it resets the device and lets go of it, which completes a device_del (machine pc). pairs: it has the device use fewer of its queue pairs, or more again, by the control queue.',
  schema,
  async run(stage, action) {
    if (stage.variant.driver === 'none') return;
    if (action === 'reset') return stage.resetDriver();
    if (action === 'eject') return stage.ejectDevice();
    if (action === 'start') return stage.startDriver();
    if (action === 'keep-kicking') return stage.keepDriver('kicking');
    if (action === 'keep-sending') return stage.keepDriver('sending');
    if (action === 'rest') return stage.restDriver();
    const doing = act(stage, action);
    if (action.wait) await doing;
    else stage.begin(`driver ${Object.keys(action)[0]}`, doing);
  },
};

async function act(stage: Stage, action: Exclude<z.output<typeof schema>, string>): Promise<void> {
  if ('reset' in action) return stage.resetDriver();
  if ('pairs' in action) return stage.usePairs(action.pairs);
  const { decline, pairs, frame, indirect, 'event-idx': eventIdx, 'ring-size': ringSize } = action.start;
  const declined = [
    ...decline,
    ...(eventIdx ? [] : (['VIRTIO_RING_F_EVENT_IDX'] as const)),
    ...(indirect ? [] : (['VIRTIO_RING_F_INDIRECT_DESC'] as const)),
  ];
  return stage.startDriver({
    decline: declined.reduce((mask, name) => mask | bit(features[name]!), 0n),
    frame,
    ...(pairs === undefined ? {} : { pairs }),
    ...(ringSize === undefined ? {} : { ringSize }),
  });
}
