import { z } from 'zod';
import { OsError } from '../../os/index.js';
import { type Stage, StepFailed } from '../stage.js';
import type { Verb } from './verb.js';

const schema = z.strictObject({
  clients: z.int().min(2).max(100).describe('How many dial beside the peer'),
  gone: z.enum(['none', 'half']).default('none').describe('How many of those that wait are gone when their turn comes'),
});

type Storm = z.output<typeof schema>;

export const storm: Verb<Storm> = {
  name: 'storm',
  help:
    'Many clients dial the listening QEMU at once, beside the connected peer. The kernel lets a few wait in the backlog and ' +
    'refuses the others, which come again; each leaves when its handshake is done, and the last one stays as the peer.',
  schema,
  async run(stage, { clients, gone }) {
    const { peer } = stage;
    if (stage.variant.role !== 'server' || !peer.session)
      throw new StepFailed('a storm needs a listening QEMU and a connected peer');
    let outside = await rush(stage, clients, gone);
    while (outside > 0 || peer.waiting > 0) {
      peer.session.leave('close');
      await stage.until('the next handshake', () => stage.handshakeDone());
      outside = await rush(stage, outside, gone);
    }
  },
};

/** So many clients dial, and some of them leave at once. @returns how many found no room */
async function rush({ peer }: Stage, clients: number, gone: Storm['gone']): Promise<number> {
  let outside = clients;
  for (let i = 0; i < clients; i++) {
    try {
      await peer.dialExtra();
      outside--;
      if (gone === 'half' && outside % 2 === 0) peer.closeExtras('last');
    } catch (error) {
      if (!(error instanceof OsError && error.code === 'EAGAIN')) throw error;
    }
  }
  return outside;
}
