import { z } from 'zod';
import { encodeMessage } from '../../wire/index.js';
import { type FaultKind, isAt, place } from './fault.js';

/** As the start of a header it has no known request, version 0, and a size that nobody sends. */
const STRAY = 0xa4;

const schema = z.strictObject({
  bytes: z.int().min(1).max(65_536).describe('How many'),
  where: z
    .enum(['before', 'after'])
    .default('after')
    .describe('Ahead of the answer to the message, or once it was dealt with'),
  message: place.shape.message.optional().describe('At this message; otherwise at once'),
  nth: place.shape.nth,
});

export const stray: FaultKind<z.output<typeof schema>> = {
  name: 'stray',
  help: 'It sends bytes that belong to no message: ahead of an answer, behind one, or at once',
  schema,
  atOnce: true,
  make: ({ bytes, where, message, nth }) => {
    const garbage = Buffer.alloc(bytes, STRAY);
    const what = `${bytes} stray bytes`;
    if (message === undefined) return { atOnce: () => ({ what, spoils: 'stream', after: garbage }) };
    return {
      bend: (incoming, answer) => {
        if (!isAt({ message, nth }, incoming)) return undefined;
        if (where === 'after') return { what, spoils: 'stream', after: garbage };
        if (!answer) return undefined;
        const instead = Buffer.concat([garbage, encodeMessage(answer)]);
        return { what: `${what} ahead of the answer`, spoils: 'answer', instead };
      },
    };
  },
};
