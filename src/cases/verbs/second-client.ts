import { z } from 'zod';
import type { Verb } from './verb.js';

export const secondClient: Verb<'connect' | 'close'> = {
  name: 'second-client',
  help: 'Another client dials the listening QEMU while the peer is connected; it takes over when the peer leaves. close: it goes.',
  schema: z.enum(['connect', 'close']),
  async run(stage, action) {
    if (action === 'connect') await stage.peer.dialExtra();
    else stage.peer.closeExtras();
  },
};
