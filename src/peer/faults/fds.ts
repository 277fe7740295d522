import { z } from 'zod';
import { type FaultKind, isAt, place } from './fault.js';

const schema = z.strictObject({ ...place.shape, count: z.int().min(1).max(253).describe('How many eventfds') });

export const fds: FaultKind<z.output<typeof schema>> = {
  name: 'fds',
  help: 'File descriptors come with an answer that has none',
  schema,
  make: ({ count, ...where }) => ({
    bend: (message, answer) =>
      answer && isAt(where, message)
        ? { what: `${count} file descriptors with the answer`, spoils: 'answer', tolerable: true, fds: count }
        : undefined,
  }),
};
