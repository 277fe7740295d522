import { z } from 'zod';
import { type Back, type Deviation, faultKinds, profiles, type SessionFault } from '../../peer/index.js';
import {
  bit,
  type FeatureName,
  type ProtocolFeatureName,
  protocolFeatures,
  vhostFeatures,
  virtioFeatures,
  virtioNetFeatures,
} from '../../wire/index.js';

const features: Readonly<Partial<Record<string, number>>> = {
  ...virtioFeatures,
  ...virtioNetFeatures,
  ...vhostFeatures,
};

const feature = z.enum(Object.keys(features) as [FeatureName, ...FeatureName[]]);
const protocolFeature = z.enum(Object.keys(protocolFeatures) as [ProtocolFeatureName, ...ProtocolFeatureName[]]);

/** What a peer that arrives may do wrong, by the kinds of faults. */
const faults = z.strictObject(
  Object.fromEntries(faultKinds.map(({ name, help, schema }) => [name, schema.optional().describe(help)])),
);

/** What a peer that arrives may differ in. All but the faults stays until something else is said. */
export const backSchema = z.strictObject({
  profile: z.enum(Object.keys(profiles) as [string, ...string[]]).optional(),
  with: z.array(protocolFeature).default([]).describe('Protocol features that it offers beyond its profile'),
  without: z.array(protocolFeature).default([]).describe('Protocol features of the profile that it does not offer'),
  features: z
    .strictObject({ with: z.array(feature).default([]), without: z.array(feature).default([]) })
    .optional()
    .describe('The same for feature bits'),
  queues: z.int().min(1).max(128).optional().describe('Queue pairs that it has'),
  'memory-slots': z.int().min(0).max(512).optional().describe('Memory slots that it has, where it is asked'),
  'whole-base': z
    .boolean()
    .optional()
    .describe(
      'It tells where a packed ring stopped with both halves of the index, as the specification has it; false: the available ' +
        'half only, as DPDK does',
    ),
  ...faults.shape,
});

/** What a connected peer may do wrong at once. */
export const misbehaviour = z.strictObject(
  Object.fromEntries(
    faultKinds.filter((kind) => kind.atOnce).map(({ name, help, schema }) => [name, schema.optional().describe(help)]),
  ),
);

const mask = (names: readonly string[], numbers: Readonly<Partial<Record<string, number>>>): bigint =>
  names.reduce((bits, name) => bits | bit(numbers[name]!), 0n);

/** The peer's words for it. */
export function toBack(params: z.output<typeof backSchema>): Back {
  const {
    profile,
    with: more,
    without,
    features: bits,
    queues,
    'memory-slots': memSlots,
    'whole-base': wholeBase,
    ...fault
  } = params;
  const deviation: Deviation = {
    protocolFeatures: { with: mask(more, protocolFeatures), without: mask(without, protocolFeatures) },
    ...(bits ? { features: { with: mask(bits.with, features), without: mask(bits.without, features) } } : {}),
    ...(queues === undefined ? {} : { queuePairs: queues }),
    ...(memSlots === undefined ? {} : { memSlots }),
    ...(wholeBase === undefined ? {} : { wholeBase }),
  };
  return { ...(profile ? { profile: profiles[profile]! } : {}), deviation, fault: given(fault) };
}

/** Faults as the peer takes them: without those that are not there. */
export const given = (fault: Readonly<Record<string, unknown>>): SessionFault =>
  Object.fromEntries(Object.entries(fault).filter(([, params]) => params !== undefined));
