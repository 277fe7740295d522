import { describe, it } from 'vitest';
import { client, server } from './exchange.js';
import { expectBreak, expectHold, expectNotApplicable } from './judging.js';

const good = server({ pairs: 2 });
const inSession = (session: number, name: string) => (e: { session: number; name: string }) =>
  e.session === session && e.name === name;
const first = good.find('wire.recv', inSession(2, 'GET_FEATURES'));
const owner = good.find('wire.recv', inSession(2, 'SET_OWNER'));
const lastError = good.find('wire.recv', inSession(2, 'SET_VRING_ERR'), -1);

/** The second session is closed by QEMU in the middle of its handshake. */
const closedBy = (by: 'front-end' | 'peer') =>
  good
    .only((e) => e.t < owner.t || !('session' in e) || e.session !== 2)
    .without('qmp.command')
    .without('qemu.exit')
    .plus({ t: owner.t + 5, type: 'session.close', session: 2, by, how: by === 'peer' ? 'close' : 'eof' });

describe('R18 the handshake', () => {
  it('holds when complete', () => expectHold('R18', good, /2 complete handshakes/));

  it('breaks when a connection begins with another message', () => {
    const stray = good.plus({ ...first, t: first.t - 0.05, request: 11, name: 'GET_VRING_BASE', body: { index: 0 } });
    expectBreak('R18', stray, 'violation', /message 0 is GET_VRING_BASE where GET_FEATURES was due/);
  });

  it('breaks when a message is missing, doubled, or about another ring', () => {
    expectBreak(
      'R18',
      good.without('wire.recv', (e) => e.t === owner.t),
      'violation',
      /is GET_FEATURES where SET_OWNER was due/,
    );
    expectBreak(
      'R18',
      good.plus({ ...owner, t: owner.t + 0.05 }),
      'violation',
      /is SET_OWNER where GET_FEATURES was due/,
    );
    const other = good.with('wire.recv', (e) => e.t === lastError.t, { body: { index: 2, noFd: false } });
    expectBreak('R18', other, 'violation', /SET_VRING_ERR where SET_VRING_ERR of ring 3 was due/);
  });

  it('needs SET_VRING_ERR from 7.1 only', () => {
    const without = good.without('wire.recv', ({ name }) => name === 'SET_VRING_ERR');
    expectBreak('R18', without, 'violation', /SET_VRING_CALL where SET_VRING_ERR of ring 0 was due/);
    expectHold(
      'R18',
      without.with('run.begin', () => true, { qemu: { version: '5.2.0', argv: [] } }),
    );
  });

  it('takes status messages anywhere and a peer without protocol features', () => {
    expectHold(
      'R18',
      good.plus({ ...owner, t: owner.t - 0.05, request: 39, name: 'SET_STATUS', body: { value: '0x0' } }),
    );
    const plain = ['GET_PROTOCOL_FEATURES', 'SET_PROTOCOL_FEATURES', 'GET_QUEUE_NUM', 'SET_BACKEND_REQ_FD'];
    const old = good
      .without('wire.recv', ({ name }) => plain.includes(name))
      .without('wire.send', ({ name }) => plain.includes(name))
      .with('wire.send', ({ name }) => name === 'GET_FEATURES', { body: { value: '0x130008003' } });
    expectHold('R18', old);
  });

  it('breaks when QEMU pauses, but not while the peer owes an answer', () => {
    expectBreak('R18', good.stretch(owner.t, 2500), 'hang', /2500 ms before SET_OWNER/);
    const reply = good.find('wire.send', ({ session, name }) => session === 2 && name === 'GET_FEATURES');
    expectHold('R18', good.stretch(reply.t, 2500));
  });

  it('breaks when QEMU goes silent in the middle', () => {
    const silent = good.only((e) => e.t < owner.t || !('session' in e) || e.session !== 2);
    expectBreak('R18', silent.stretch(owner.t + 1, 3000), 'hang', /without .*SET_OWNER/);
  });

  it('breaks when a dialling QEMU says nothing at all', () => {
    const mute = client().only((e) => !('session' in e) || e.session !== 2 || e.type === 'session.open');
    const open = mute.find('session.open', ({ session }) => session === 2);
    expectBreak('R18', mute.stretch(open.t + 1, 3000), 'hang', /session 2: 3\d\d\d ms without GET_FEATURES/);
  });

  it('holds for a handshake that the peer cut', () => expectHold('R18', closedBy('peer'), /1 in order up to where/));

  it('breaks when QEMU drops a peer like one that it took before, not one that offers less', () => {
    expectBreak('R18', closedBy('front-end'), 'violation', /closed session 2 .*accepted in session 1/);
    const fewer = closedBy('front-end').with(
      'wire.send',
      ({ session, name }) => session === 2 && name === 'GET_QUEUE_NUM',
      { body: { value: '0x1' } },
    );
    expectHold('R18', fewer);
  });

  it('says nothing without a message', () => expectNotApplicable('R18', good.without('wire.recv')));
});

describe('R21 SET_OWNER comes once', () => {
  it('holds', () => expectHold('R21', good, /one SET_OWNER in each of 2 sessions/));
  it('breaks when it comes again', () =>
    expectBreak('R21', good.plus({ ...owner, t: lastError.t + 0.05 }), 'violation', /session 2 got SET_OWNER 2 times/));
  it('says nothing when no handshake was completed', () =>
    expectNotApplicable(
      'R21',
      good.only((e) => e.t < good.find('wire.recv', inSession(1, 'SET_OWNER')).t),
    ));
});

describe('R28 acknowledgements', () => {
  const asking = good.find('wire.recv', ({ flags }) => (flags & 8) !== 0);

  it('holds', () => expectHold('R28', good, /4 acknowledgements waited for: SET_BACKEND_REQ_FD, SET_MEM_TABLE/));

  it('breaks when REPLY_ACK was not acked', () => {
    const unacked = good.with('wire.recv', inSession(1, 'SET_PROTOCOL_FEATURES'), { body: { value: '0x10cb7' } });
    expectBreak('R28', unacked, 'violation', /session 1: SET_BACKEND_REQ_FD \(message \d+\) has NEED_REPLY/);
  });

  it('breaks when QEMU does not wait', () => {
    const hasty = good.with(
      'wire.send',
      (e) => e.t > asking.t && e.request === asking.request && e.session === 1,
      (e) => ({
        t: e.t + 0.15,
      }),
    );
    expectBreak('R28', hasty, 'violation', /SET_BACKEND_REQ_FD .* was followed by SET_OWNER before its answer/);
  });

  it('holds when the peer never answers and QEMU waits for ever', () =>
    expectHold(
      'R28',
      good.only((e) => e.t <= asking.t),
    ));

  it('says nothing when QEMU asked for none', () =>
    expectNotApplicable(
      'R28',
      good.with('wire.recv', () => true, { flags: 1 }),
    ));
});
