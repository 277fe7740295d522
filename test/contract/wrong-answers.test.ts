import { describe, it } from 'vitest';
import type { PeerFault } from '../../src/timeline/index.js';
import { client, server } from './exchange.js';
import { expectBreak, expectHold, expectNotApplicable } from './judging.js';
import type { Story } from './timeline-builder.js';

const good = server();

/** The nth message of a name on session 2, and the answer to it. */
const asked = (story: Story, name: string, nth = 0) =>
  story.find('wire.recv', (e) => e.session === 2 && e.name === name, nth);

/** Right after a message: in place of its answer, or behind it. */
function spoilt(story: Story, name: string, fault: Partial<PeerFault>, nth = 0): Story {
  const { t } = asked(story, name, nth);
  const answer = story.events.find((e) => e.type === 'wire.send' && e.session === 2 && e.name === name && e.t >= t);
  const stands = fault.spoils === 'answer' ? new Set([answer]) : new Set();
  const told = { type: 'peer.fault', session: 2, fault: 'header', what: 'something wrong', message: name } as const;
  const at = (answer?.t ?? t) + 0.01;
  return story.only((event) => !stands.has(event)).plus({ ...told, ...fault, t: at });
}

/** What QEMU makes of a wrong answer: nothing more on that session. */
const stopped = (story: Story, name: string, nth = 0): Story => {
  const { t } = asked(story, name, nth);
  return story.only((e) => e.t < t + 0.15 || !('session' in e) || e.session !== 2 || e.type === 'session.close');
};

const answer = { spoils: 'answer' } as const;
const stream = { spoils: 'stream' } as const;

describe('R36 what breaks the protocol is not taken for an answer', () => {
  it('says nothing where every answer is one', () => {
    expectNotApplicable('R36', good);
    expectNotApplicable('R36', client());
  });

  it('holds when QEMU goes no further', () => {
    for (const name of ['GET_FEATURES', 'GET_QUEUE_NUM', 'SET_BACKEND_REQ_FD', 'GET_STATUS', 'SET_MEM_TABLE'])
      expectHold('R36', stopped(spoilt(good, name, answer), name), /1 wrong answer, none taken/);
  });

  it('breaks when QEMU completes the handshake', () =>
    expectBreak(
      'R36',
      spoilt(good, 'GET_QUEUE_NUM', answer),
      'violation',
      /GET_QUEUE_NUM \(message 3\) got something wrong, and QEMU completed the handshake/,
    ));

  it('breaks when QEMU starts a ring', () =>
    expectBreak(
      'R36',
      spoilt(good, 'SET_MEM_TABLE', answer),
      'violation',
      /SET_MEM_TABLE .* got something wrong, and QEMU started ring 0/,
    ));

  it('holds when the rings are started by another start, or were before', () => {
    // The status is asked for again after the rings: they run already.
    const { t } = asked(good, 'SET_VRING_CALL', -1);
    const last = {
      type: 'wire.recv',
      session: 2,
      index: 99,
      request: 40,
      flags: 1,
      size: 0,
      body: {},
      fds: 0,
    } as const;
    const late = good.plus({ ...last, t: t + 0.15, name: 'GET_STATUS' });
    const fault = { type: 'peer.fault', session: 2, fault: 'header', what: 'wrong', ...answer } as const;
    expectHold('R36', late.plus({ ...fault, t: t + 0.16, message: 'GET_STATUS' }));
    const features = asked(good, 'SET_FEATURES');
    const memory = asked(good, 'SET_MEM_TABLE');
    const again = spoilt(good, 'SET_MEM_TABLE', answer).plus({ ...features, t: memory.t + 0.15, index: 98 });
    expectHold('R36', again);
  });

  it('leaves alone what QEMU may take', () =>
    expectNotApplicable('R36', spoilt(good, 'SET_MEM_TABLE', { ...answer, tolerable: true })));

  it('a peer that is silent gives no answer at all', () =>
    expectNotApplicable('R36', spoilt(good, 'SET_MEM_TABLE', { spoils: 'all' })));

  describe('bytes that belong to no message', () => {
    it('leave the next answer out of step', () => {
      const stray = spoilt(good, 'SET_OWNER', { ...stream, bytes: 'a4'.repeat(20) });
      expectBreak('R36', stray, 'violation', /GET_FEATURES \(message 6\) got something wrong, and QEMU completed/);
      expectHold('R36', stopped(stray, 'GET_FEATURES', 1));
    });

    it('that look like an answer may be taken for one to the same question, not for one to another', () => {
      const features = `010000000500000008000000${'00'.repeat(8)}`;
      const status = `280000000500000008000000${'00'.repeat(8)}`;
      // GET_FEATURES is next, and then GET_STATUS, which is taken for none.
      const story = stopped(spoilt(good, 'SET_OWNER', { ...stream, bytes: features }), 'GET_STATUS');
      expectHold('R36', story);
      expectBreak(
        'R36',
        spoilt(good, 'SET_OWNER', { ...stream, bytes: features }),
        'violation',
        /GET_STATUS .* and QEMU started ring 0/,
      );
      expectBreak(
        'R36',
        spoilt(good, 'SET_OWNER', { ...stream, bytes: status }),
        'violation',
        /GET_FEATURES .* completed/,
      );
    });

    it('do not speak for a ring that the peer starts when it gets the kick', () => {
      const kicks = good.events.filter((e) => e.type === 'ring.start' && e.session === 2);
      const ok = { type: 'wire.send', session: 2, channel: 'reply', request: 12, flags: 5, size: 8, fds: 0 } as const;
      const acked = good
        .with('wire.recv', (e) => e.session === 2 && e.name === 'SET_VRING_KICK', { flags: 9 })
        .plus(...kicks.map(({ t }) => ({ ...ok, t: t + 0.05, name: 'SET_VRING_KICK', body: { value: '0x0' } })));
      const kick = asked(acked, 'SET_VRING_KICK');
      const stray = spoilt(acked, 'SET_MEM_TABLE', stream);
      const ring = stray.find('ring.start', (e) => e.session === 2);
      const first = stray.only(
        (e) => e.t < ring.t + 0.06 || !('session' in e) || e.session !== 2 || e.type === 'session.close',
      );
      expectHold('R36', first, /1 wrong answer/);
      expectBreak('R36', stray, 'violation', new RegExp(`SET_VRING_KICK \\(message ${kick.index}\\).*started ring 1`));
    });
  });

  it('a refusal is no consent', () => {
    const refused = good.with('wire.send', (e) => e.session === 2 && e.name === 'SET_MEM_TABLE', {
      body: { value: '0x1' },
    });
    expectBreak('R36', refused, 'violation', /SET_MEM_TABLE .* got a refusal, and QEMU started ring 0/);
    expectHold('R36', stopped(refused, 'SET_MEM_TABLE'));
  });

  it('breaks when QEMU takes memory for a size that nobody sends', () => {
    const huge = stopped(
      spoilt(good, 'GET_FEATURES', { ...answer, announces: 0xffff_ffff, half: true }),
      'GET_FEATURES',
    );
    const grown = (peak: number) =>
      huge
        .with('proc.sample', () => true, { peak: 500 << 20 })
        .with('proc.sample', (e) => e.t > asked(good, 'GET_FEATURES').t, { peak });
    expectHold('R36', grown(900 << 20));
    expectBreak(
      'R36',
      grown(4600 * 2 ** 20),
      'violation',
      /QEMU took 4100 MiB after a header announced 4294967295 bytes/,
    );
    expectHold('R36', huge);
  });
});
