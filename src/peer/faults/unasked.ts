import { z } from 'zod';
import { encodeMessage, FLAG_REPLY, specByName, VERSION } from '../../wire/index.js';
import { type FaultKind, isAt, place, placeOrName } from './fault.js';

const schema = z.strictObject({
  reply: place.shape.message.describe('What it pretends to answer, with a u64 of 0'),
  after: placeOrName.optional().describe('Once this message was dealt with; otherwise at once'),
});

export const unasked: FaultKind<z.output<typeof schema>> = {
  name: 'unasked',
  help: 'It sends a reply that nobody asked for',
  schema,
  atOnce: true,
  make: ({ reply, after }) => {
    const bytes = encodeMessage({
      request: specByName(reply).id,
      flags: VERSION | FLAG_REPLY,
      payload: Buffer.alloc(8),
    });
    const act = { what: `a reply to ${reply} that nobody asked for`, spoils: 'stream', after: bytes } as const;
    return after === undefined
      ? { atOnce: () => act }
      : { bend: (message) => (isAt(after, message) ? act : undefined) };
  },
};
