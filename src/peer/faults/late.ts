import { z } from 'zod';
import { duration, type FaultKind, isAt, place } from './fault.js';

const schema = z.strictObject({ ...place.shape, by: duration.describe('How long') });

export const late: FaultKind<z.output<typeof schema>> = {
  name: 'late',
  help: 'The message that it deals with late: where QEMU waits for an answer it reads on meanwhile, else it reads on after that',
  schema,
  make: ({ by, ...where }) => ({ pause: (message) => (isAt(where, message) ? by : undefined) }),
};
