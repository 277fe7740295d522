import { z } from 'zod';
import { type Back, profiles } from '../../peer/index.js';
import { frontEndRequests } from '../../wire/index.js';

/** What a peer that arrives may differ in. */
export const backSchema = z.strictObject({
  profile: z.enum(Object.keys(profiles) as [string, ...string[]]).optional(),
  stall: z
    .enum(frontEndRequests.map(({ name }) => name))
    .optional()
    .describe('The message that it never answers'),
});

/** The peer's words for it. */
export function toBack({ profile, stall }: z.output<typeof backSchema>): Back {
  return { ...(profile ? { profile: profiles[profile]! } : {}), ...(stall ? { fault: { stall } } : {}) };
}
