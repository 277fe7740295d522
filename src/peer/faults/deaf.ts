import { z } from 'zod';
import { type FaultKind, isAt, placeOrName } from './fault.js';

const schema = z.union([z.literal(true), z.strictObject({ after: placeOrName })]);

export const deaf: FaultKind<z.output<typeof schema>> = {
  name: 'deaf',
  help: 'It reads nothing any more once it has dealt with a message, or (true) from now on',
  schema,
  atOnce: true,
  make: (params) => {
    const act = { what: 'reads nothing any more', spoils: 'all', deaf: true } as const;
    return params === true
      ? { atOnce: () => act }
      : { bend: (message) => (isAt(params.after, message) ? act : undefined) };
  },
};
