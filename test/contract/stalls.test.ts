import { describe, expect, it } from 'vitest';
import { stalls } from '../../src/contract/index.js';
import { server } from './exchange.js';

const good = server();
const loss = good.find('session.close');

/** A fault of the first session from 400 ms before its end, and the heartbeat that meets it. */
function stalled(fault: object, latency: number) {
  const at = loss.t - 400;
  const beat = good.find('qmp.heartbeat', ({ sent }) => sent > at);
  return {
    beat,
    story: good
      .with('qmp.heartbeat', (e) => e === beat, { latency })
      .plus({ t: at, type: 'peer.fault', session: 1, fault: 'x', what: 'x', ...fault }),
  };
}

describe('main-loop stalls', () => {
  it('there are none where every heartbeat is answered', () => expect(stalls(good.timeline())).toEqual([]));

  it('last from the heartbeat that meets the fault to the end of what the peer owes', () => {
    const { beat, story } = stalled({ spoils: 'all' }, 410);
    expect(stalls(story.timeline())).toEqual([
      { session: 1, ms: loss.t - beat.sent, recoveryMs: expect.closeTo(beat.sent + 410 - loss.t, 6) },
    ]);
  });

  it('of a late message end with it', () => {
    const { beat, story } = stalled({ by: 250 }, 260);
    const end = loss.t - 150;
    expect(stalls(story.timeline())).toMatchObject([{ session: 1, ms: expect.closeTo(end - beat.sent, 6) }]);
  });

  it('name the message whose answer is owed', () => {
    const ask = { type: 'wire.recv', session: 1, index: 99, flags: 1, size: 0, body: {}, fds: 0 } as const;
    const { story } = stalled({}, 410);
    const asked = story.plus({ ...ask, t: loss.t - 400, request: 11, name: 'GET_VRING_BASE' });
    expect(stalls(asked.timeline())).toMatchObject([{ session: 1, message: 'GET_VRING_BASE' }]);
  });

  it('have no recovery when QMP never answers again', () => {
    const { beat, story } = stalled({ spoils: 'all' }, 410);
    const dead = story
      .without('qmp.heartbeat', ({ sent }) => sent >= beat.sent)
      .plus({ t: beat.sent + 1000, type: 'qmp.silent', since: beat.sent });
    expect(stalls(dead.timeline())).toEqual([{ session: 1, ms: loss.t - beat.sent }]);
  });

  it('are not counted when they are short, or cut off by quit', () => {
    expect(stalls(stalled({ by: 60 }, 70).story.timeline())).toEqual([]);
    const { story } = stalled({ spoils: 'all' }, 410);
    const quit = story.plus({ t: loss.t - 100, type: 'qmp.command', id: 5, execute: 'quit' });
    expect(stalls(quit.timeline())).toEqual([]);
  });
});
