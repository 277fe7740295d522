import type { z } from 'zod';
import { type FaultKind, isAt, placeOrName } from './fault.js';

export const stall: FaultKind<z.output<typeof placeOrName>> = {
  name: 'stall',
  help: 'The message that it never answers, nor reads past',
  schema: placeOrName,
  make: (where) => ({ pause: (message) => (isAt(where, message) ? 'for-ever' : undefined) }),
};
