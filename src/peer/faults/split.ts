import { z } from 'zod';
import { HEADER_SIZE } from '../../wire/index.js';
import { type FaultKind, isAt, place } from './fault.js';

const schema = z.strictObject({ ...place.shape, at: z.int().min(1).describe('Bytes in the first part') });

export const split: FaultKind<z.output<typeof schema>> = {
  name: 'split',
  help: 'The answer comes in two parts, the second when QEMU has read the first. That is legal',
  schema,
  make: ({ at, ...where }) => ({
    bend: (message, answer) =>
      answer && at < HEADER_SIZE + answer.payload.length && isAt(where, message)
        ? { what: `answer split after byte ${at}`, cut: at }
        : undefined,
  }),
};
