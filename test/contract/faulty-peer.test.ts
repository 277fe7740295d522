import { describe, it } from 'vitest';
import type { PeerFault } from '../../src/timeline/index.js';
import { client, server } from './exchange.js';
import { expectBreak, expectHold } from './judging.js';
import type { Story } from './timeline-builder.js';

const good = server({ away: [3100, 3100] });
const of = (story: Story, session: number, name: string, nth = 0) =>
  story.find('wire.recv', (e) => e.session === session && e.name === name, nth);
const fault = (t: number, more: Partial<PeerFault>) =>
  ({ t, type: 'peer.fault', session: 2, fault: 'x', what: 'x', ...more }) as const;

/** Session 2 as far as `t`; then nothing but its end. */
const until = (story: Story, t: number): Story =>
  story.only((e) => e.t <= t || !('session' in e) || e.session !== 2 || e.type === 'session.close');

/** What the peer does with the message that is the last of session 2. */
const cut = (name: string, nth = 0): { story: Story; t: number } => {
  const { t } = of(good, 2, name, nth);
  return { story: until(good, t), t };
};

describe('QEMU cannot go on from what its peer did wrong', () => {
  it('R7: a peer that reads nothing was served when there was something to read', () => {
    const { t } = of(good, 2, 'GET_FEATURES');
    const unread = until(good, t - 0.05).stretch(t + 1, 2000);
    expectBreak('R7', unread, 'hang', /session 2 got no message/);
    expectHold('R7', unread.plus(fault(t, { fault: 'silent', spoils: 'all' })));
    expectBreak(
      'R7',
      unread.plus(fault(t + 1500, { fault: 'silent', spoils: 'all' })),
      'violation',
      /after 1\d\d\d ms/,
    );
    expectHold('M1', unread.plus(fault(t, { fault: 'silent', spoils: 'all' })), /3 connections/);
  });

  it('R18: the rest of the handshake is not missed', () => {
    const long = { ...cut('SET_OWNER') };
    const story = long.story.stretch(long.t + 1, 3000);
    expectBreak('R18', story, 'hang', /session 2: \d+ ms without GET_FEATURES/);
    expectHold('R18', story.plus(fault(long.t, { fault: 'deaf', spoils: 'all' })));
  });

  it('R18: an answer in its place ends the wait, and a spoilt one is no reason to blame QEMU for closing', () => {
    const { t } = of(good, 2, 'GET_QUEUE_NUM');
    const closed = until(good, t + 0.15).with('session.close', ({ session }) => session === 2, {
      by: 'front-end',
      how: 'eof',
    });
    expectBreak('R18', closed, 'violation', /QEMU closed session 2 after GET_QUEUE_NUM/);
    expectHold('R18', closed.plus(fault(t + 0.05, { spoils: 'stream' })));
  });

  it('R20 and R27: no ring is missed after an answer that was none, or a refusal', () => {
    const { story, t } = cut('SET_MEM_TABLE');
    const long = story.stretch(t + 1, 3000);
    const refusal = { type: 'wire.send', session: 2, channel: 'reply', request: 5, flags: 5, size: 8, fds: 0 } as const;
    const answer = { ...refusal, t: t + 0.05, name: 'SET_MEM_TABLE' };
    expectBreak('R20', long.plus({ ...answer, body: { value: '0x0' } }), 'violation', /did not start ring 0/);
    expectHold('R20', long.plus({ ...answer, body: { value: '0x1' } }));
    expectHold('R20', long.plus(fault(t + 0.05, { spoils: 'answer', message: 'SET_MEM_TABLE' })));
  });

  it('R28: what comes in place of an acknowledgement ends the wait for it', () => {
    const { t } = of(good, 2, 'SET_MEM_TABLE');
    const unanswered = good.without('wire.send', (e) => e.session === 2 && e.name === 'SET_MEM_TABLE');
    expectBreak('R28', unanswered, 'violation', /SET_MEM_TABLE .* followed by SET_VRING_NUM before its answer/);
    const spoilt = { spoils: 'answer', tolerable: true, message: 'SET_MEM_TABLE' } as const;
    expectHold('R28', unanswered.plus(fault(t + 0.05, spoilt)));
  });
});

describe('what a peer is late with does not count', () => {
  /** Session 2 goes on so much later from a message on. */
  const late = (name: string, by: number, nth = 0) => {
    const { t } = of(good, 2, name, nth);
    const story = good.stretch(t + 0.05, by);
    return { plain: story, told: story.plus(fault(t, { fault: 'late', message: name, by })) };
  };

  it('R18: between messages of the handshake', () => {
    const { plain, told } = late('SET_OWNER', 5000);
    expectBreak('R18', plain, 'hang', /session 2: 5\d\d\d ms before GET_FEATURES/);
    expectHold('R18', told);
  });

  it('R20: until the rings are there', () => {
    const { plain, told } = late('SET_VRING_BASE', 5000);
    expectBreak('R20', plain, 'violation', /started ring 0 only after 5\d\d\d ms/);
    expectHold('R20', told);
  });

  it('R31: until the link is up', () => {
    const { plain, told } = late('SET_STATUS', 5000, -1);
    expectBreak('R31', plain, 'violation', /came up only 5\d\d\d ms after/);
    expectHold('R31', told);
  });

  it('M1: while the chardev cannot be asked', () => {
    const { t } = of(good, 2, 'SET_STATUS', -1);
    const connected = good.find('chardev.state', (e) => e.connected && e.t > t);
    const story = good
      .stretch(connected.t, 5000)
      .plus({ t: t + 2000.4, type: 'qmp.heartbeat', sent: t + 2000, latency: 0.4, status: 'running' });
    expectBreak('M1', story, 'violation', /says disconnected for/);
    expectHold('M1', story.plus(fault(t, { fault: 'late', by: 5000 })));
  });

  it('all of them still hold for a dialling QEMU', () => {
    const dialling = client({ away: [1500] });
    const { t } = of(dialling, 2, 'SET_OWNER');
    const story = dialling.stretch(t + 0.05, 5000).plus(fault(t, { fault: 'late', by: 5000 }));
    for (const id of ['R12', 'R18', 'R20', 'R27', 'R31']) expectHold(id, story);
  });
});

describe('R5 counts what is alike', () => {
  const counted = (counts: number[]) => {
    let n = 0;
    return good.with(
      'proc.sample',
      () => true,
      () => ({ fds: counts[n++]! }),
    );
  };

  it('a session without the channel for requests has a descriptor less', () => {
    const less = counted([30, 29, 30]);
    expectBreak('R5', less, 'violation', /grew from 29 in session 2 to 30/);
    const without = less.without('wire.recv', (e) => e.session === 2 && e.name === 'SET_BACKEND_REQ_FD');
    expectHold('R5', without);
    const { t } = of(less, 2, 'SET_OWNER');
    expectHold('R5', less.plus({ t, type: 'wire.backend-close', session: 2, by: 'peer' }));
  });

  it('rings that were stopped before the look hold none', () => {
    const { t } = of(good, 2, 'SET_VRING_CALL', -1);
    const failed = counted([30, 27, 30]).plus({ t: t + 0.05, type: 'ring.stop', session: 2, ring: 0, base: 0 });
    expectHold('R5', failed);
  });
});
