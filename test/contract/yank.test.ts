import { describe, it } from 'vitest';
import type { QmpReply } from '../../src/timeline/index.js';
import { client, server } from './exchange.js';
import { expectBreak, expectHold, expectNotApplicable } from './judging.js';
import type { Story } from './timeline-builder.js';

/** The chardev is yanked 10 ms before a session ends, and the monitor answers 1 ms later, and again 2 ms after that. */
function yanked(story: Story, session: number, more: Partial<QmpReply> = {}): Story {
  const { t } = story.find('session.close', (close) => close.session === session);
  const yank = { execute: 'yank', arguments: { instances: [{ type: 'chardev', id: 'c0' }] } };
  return story.plus(
    { type: 'qmp.command', t: t - 10, id: 900, ...yank },
    { type: 'qmp.reply', t: t - 9, id: 900, execute: 'yank', latency: 1, value: {}, ...more },
    { type: 'qmp.heartbeat', t: t - 7, sent: t - 8, latency: 1, status: 'running' },
  );
}

/** It ends because QEMU does so. */
const byQemu = (story: Story, session: number, early = 0) => {
  const ours = (close: { session: number }) => close.session === session;
  const { t } = story.find('session.close', ours);
  return story.with('session.close', ours, { by: 'front-end', how: 'eof', t: t - early });
};

describe('R50 a connection that is yanked ends', () => {
  it('holds when QEMU ends it, before or after its answer', () => {
    const ends = /^1 connection ended by yank$/;
    expectHold('R50', byQemu(yanked(server(), 1), 1), ends);
    expectHold('R50', byQemu(yanked(client(), 1), 1, 9.5), ends);
  });

  it('holds where the peer leaves before anybody could tell', () =>
    expectHold(
      'R50',
      yanked(server(), 1).without('qmp.heartbeat', () => true),
    ));

  it('breaks when it goes on until the peer leaves, or to the end', () => {
    const seen = (session: number) => new RegExp(`^session ${session} went on after yank had ended it$`);
    expectBreak('R50', yanked(server(), 1), 'violation', seen(1));
    const away = server({ away: [200, 200] });
    expectBreak('R50', yanked(away, 2), 'violation', seen(2));
    // The last one ends with QEMU.
    expectBreak('R50', yanked(away, 3), 'violation', seen(3));
    const quit = away.find('qmp.command', ({ execute }) => execute === 'quit');
    expectHold(
      'R50',
      yanked(away, 3).with('qmp.command', ({ id }) => id === quit.id, {
        t: away.find('session.close', ({ session }) => session === 3).t - 7.5,
      }),
    );
  });

  it('asks nothing where the yank failed, was another’s, or nobody was there', () => {
    expectNotApplicable('R50', yanked(server(), 1, { error: 'no such instance' }));
    const other = { arguments: { instances: [{ type: 'block-node' }] } };
    expectNotApplicable(
      'R50',
      yanked(server(), 1).with('qmp.command', ({ id }) => id === 900, other),
    );
    const { t } = server().find('session.close');
    const story = server().plus({
      type: 'qmp.command',
      t: t + 900,
      id: 901,
      execute: 'yank',
      arguments: { instances: [{ type: 'chardev' }] },
    });
    expectNotApplicable(
      'R50',
      story.plus({ type: 'qmp.reply', t: t + 901, id: 901, execute: 'yank', latency: 1, value: {} }),
    );
    expectNotApplicable('R50', server());
  });
});
