import type { z } from 'zod';
import { encodeMessage } from '../../wire/index.js';
import { type FaultKind, isAt, placeOrName } from './fault.js';

export const twice: FaultKind<z.output<typeof placeOrName>> = {
  name: 'twice',
  help: 'The message that it answers twice',
  schema: placeOrName,
  make: (where) => ({
    bend: (message, answer) =>
      answer && isAt(where, message)
        ? { what: 'answered twice', spoils: 'stream', after: encodeMessage(answer) }
        : undefined,
  }),
};
