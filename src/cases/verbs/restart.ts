import { z } from 'zod';
import type { Back, Leave, PathFate } from '../../peer/index.js';
import { duration } from '../duration.js';
import { type Stage, StepFailed } from '../stage.js';
import { arrive } from './arrive.js';
import { backSchema, toBack } from './back.js';
import type { Verb } from './verb.js';

const schema = z.strictObject({
  leave: z
    .enum(['close', 'abort', 'half-message'])
    .default('close')
    .describe(
      'How it leaves: close = orderly, rings drained; abort = with bytes of QEMU unread (ECONNRESET); half-message = after half of a message',
    ),
  away: z
    .union([duration, z.literal('before-leave')])
    .describe(
      'How long it stays away; before-leave: the returning connection waits in the backlog already (server role)',
    ),
  path: z
    .enum(['keep', 'remove', 'listening', 'hung', 'full'])
    .default('keep')
    .describe(
      "The peer's path meanwhile (client role): keep = the stale file refuses, remove = it is gone, listening = only the connection " +
        'drops, hung = it listens and accepts nothing, as of a process that hangs, full = nor has its backlog room',
    ),
  back: z
    .union([z.enum(['same', 'original', 'never']), backSchema])
    .default('same')
    .describe('What comes back: the same, or what the peer was at first, or nothing, or something else'),
});

type Restart = z.output<typeof schema>;

export const restart: Verb<Restart> = {
  name: 'restart',
  help: 'The peer leaves and, unless never, comes back.',
  schema,
  async run(stage, { leave, away, path, back }) {
    if (leave === 'abort') await leaveBytesUnread(stage);
    if (away === 'before-leave') return stage.peer.overtake(leave, whatComesBack(back));
    await stage.peer.leave(leave as Leave, path as PathFate);
    await stage.pass(away);
    if (back !== 'never') await arrive(stage, whatComesBack(back));
  },
};

function whatComesBack(back: Restart['back']): Back {
  if (back === 'original') return { profile: 'original' };
  return typeof back === 'string' ? {} : toBack(back);
}

/**
 * On unix sockets only unread bytes make a close abrupt (unix_release_sock sets ECONNRESET). A vhost-user front-end is
 * silent in steady state; announce-self makes it send SEND_RARP without waiting for an answer, unless the guest announces
 * itself, as Linux does (hw/virtio/vhost-user.c#vhost_user_migration_done).
 */
async function leaveBytesUnread(stage: Stage): Promise<void> {
  const session = stage.peer.session;
  if (!session) throw new StepFailed('abort: the peer has no session to leave');
  session.stopReading();
  try {
    await stage.qmp('announce-self', { initial: 50, max: 50, rounds: 1, step: 50 });
    if (session.unread > 0) return;
  } catch (error) {
    session.readOn();
    throw error;
  }
  // It goes on being served.
  session.readOn();
  throw new StepFailed(
    'abort: QEMU sent nothing that could stay unread; a guest that announces itself (VIRTIO_NET_F_GUEST_ANNOUNCE) spares it that',
  );
}
