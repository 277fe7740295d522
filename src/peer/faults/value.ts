import { z } from 'zod';
import { hex } from '../../wire/index.js';
import { type FaultKind, isAt, place } from './fault.js';

const number = z.union([z.int().min(0), z.string().regex(/^0x[0-9a-f]{1,16}$/, 'a number such as 0x8000000000000000')]);

const schema = z.strictObject({
  message: place.shape.message,
  nth: place.shape.nth.describe('Which of the messages of this name on the connection; all of them without'),
  as: number.describe('The first eight bytes of the payload'),
});

export const value: FaultKind<z.output<typeof schema>> = {
  name: 'value',
  help: 'The answer is well-formed and has another value: nonsense, or a refusal where it only acknowledges',
  schema,
  make: ({ as, message: name, nth }) => ({
    bend: (message, answer) => {
      if (!answer || !isAt({ message: name, nth: nth ?? message.nth }, message)) return undefined;
      const payload = Buffer.from(answer.payload);
      payload.writeBigUInt64LE(BigInt(as));
      return {
        what: answer.ack ? `acknowledged with ${hex(BigInt(as))}` : `answered with ${hex(BigInt(as))}`,
        payload,
      };
    },
  }),
};
