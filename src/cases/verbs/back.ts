import { z } from 'zod';
import { type Back, profiles } from '../../peer/index.js';
import { frontEndRequests } from '../../wire/index.js';

const message = z.enum(frontEndRequests.map(({ name }) => name));

/** What a peer that arrives may differ in. */
export const backSchema = z.strictObject({
  profile: z.enum(Object.keys(profiles) as [string, ...string[]]).optional(),
  stall: message.optional().describe('The message that it never answers'),
  late: message.optional().describe('The message that it answers late, reading on meanwhile'),
});

/** The peer's words for it. */
export function toBack({ profile, stall, late }: z.output<typeof backSchema>): Back {
  const fault = { ...(stall ? { stall } : {}), ...(late ? { late } : {}) };
  return { ...(profile ? { profile: profiles[profile]! } : {}), fault };
}
