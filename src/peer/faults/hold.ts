import type { z } from 'zod';
import { type FaultKind, isAt, place } from './fault.js';

export const hold: FaultKind<z.output<typeof place>> = {
  name: 'hold',
  help: 'The message that it holds until the step `resume`: where QEMU waits for an answer just that, else all that follows',
  schema: place,
  make: (where) => ({ pause: (message) => (isAt(where, message) ? 'until-resumed' : undefined) }),
};
