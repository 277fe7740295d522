import { z } from 'zod';
import { type Pluggable, pluggables } from '../../qemu/index.js';
import type { Verb } from './verb.js';

const what = z.enum(pluggables);
const schema = z.union([
  what,
  z.strictObject({
    what,
    wait: z.literal(false).describe('Goes on at once; `await: commands` waits for the answer'),
  }),
]);

export const plug: Verb<Pluggable | { what: Pluggable; wait: false }> = {
  name: 'plug',
  help:
    'Adds again what was removed, as QEMU was started with it: chardev (c0; a client dials at once), netdev (n0; no answer ' +
    'before the handshake is done), nic (nic).',
  schema,
  async run(stage, params) {
    if (typeof params === 'string') await stage.plug(params);
    else stage.begin(`plug ${params.what}`, stage.plug(params.what));
  },
};
