import { z } from 'zod';
import { type Back, profiles } from '../../peer/index.js';
import { bit, frontEndRequests, type ProtocolFeatureName, protocolFeatures } from '../../wire/index.js';

const message = z.enum(frontEndRequests.map(({ name }) => name));

/** What a peer that arrives may differ in. */
export const backSchema = z.strictObject({
  profile: z.enum(Object.keys(profiles) as [string, ...string[]]).optional(),
  without: z
    .array(z.enum(Object.keys(protocolFeatures) as [ProtocolFeatureName, ...ProtocolFeatureName[]]))
    .default([])
    .describe('Protocol features of the profile that it does not offer, from now on'),
  stall: message.optional().describe('The message that it never answers'),
  late: message.optional().describe('The message that it answers late, reading on meanwhile'),
});

/** The peer's words for it. */
export function toBack({ profile, without, stall, late }: z.output<typeof backSchema>): Back {
  const fault = { ...(stall ? { stall } : {}), ...(late ? { late } : {}) };
  const withheld = without.reduce((mask, name) => mask | bit(protocolFeatures[name]), 0n);
  return { ...(profile ? { profile: profiles[profile]! } : {}), without: withheld, fault };
}
