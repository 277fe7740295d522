import { z } from 'zod';
import type { FaultKind } from './fault.js';

export const silent: FaultKind<true> = {
  name: 'silent',
  help: 'It connects, and neither reads nor sends a byte',
  schema: z.literal(true),
  make: () => ({ silent: true }),
};
