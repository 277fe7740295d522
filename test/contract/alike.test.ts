import { describe, it } from 'vitest';
import { client, server } from './exchange.js';
import { expectBreak, expectHold, expectNotApplicable } from './judging.js';

const named =
  (name: string, inSession?: number) =>
  (e: { name: string; session: number }): boolean =>
    e.name === name && (inSession ?? e.session) === e.session;

describe('R47 every connection is negotiated as the first was', () => {
  it('holds where it is', () => {
    expectHold('R47', server({ away: [200, 200] }), /^3 SET_PROTOCOL_FEATURES alike$/);
    expectHold('R47', client({ pairs: 2 }), /^4 SET_PROTOCOL_FEATURES alike$/);
  });

  it('breaks when less is acked of the same offer', () => {
    const fewer = server().with('wire.recv', named('SET_PROTOCOL_FEATURES', 2), { body: { value: '0x10cb7' } });
    expectBreak(
      'R47',
      fewer,
      'violation',
      /^session 2: SET_PROTOCOL_FEATURES 0x10cb7, of the same offer it was 0x10cbf/,
    );
    const offeredFewer = fewer.with('wire.send', named('GET_PROTOCOL_FEATURES', 2), { body: { value: '0x10cb7' } });
    expectHold('R47', offeredFewer);
  });

  it('breaks when a peer gets no channel for the requests that it may make', () => {
    const without = server().without('wire.recv', named('SET_BACKEND_REQ_FD', 2));
    expectBreak('R47', without, 'violation', /^session 2: the handshake brought no SET_BACKEND_REQ_FD/);
    const unacked = server()
      .without('wire.recv', named('SET_BACKEND_REQ_FD'))
      .with('wire.recv', named('SET_PROTOCOL_FEATURES'), { body: { value: '0x109f' } });
    expectHold('R47', unacked);
  });

  it('breaks when a message that was to be acknowledged is not any more, or the reverse', () => {
    const once = server({ away: [200, 200] });
    const silent = once.with('wire.recv', named('SET_MEM_TABLE', 3), { flags: 1 });
    expectBreak(
      'R47',
      silent,
      'violation',
      /^session 3: SET_MEM_TABLE \(message \d+\) wants no acknowledgement, unlike/,
    );
    const loud = once.with('wire.recv', named('SET_BACKEND_REQ_FD', 1), { flags: 1 });
    expectBreak('R47', loud, 'violation', /^session 2: SET_BACKEND_REQ_FD \(message \d+\) wants an acknowledgement/);
  });

  it('compares only what needs nothing but the feature, and what was always so', () => {
    const once = server({ away: [200, 200] });
    expectHold('R47', once.with('wire.recv', named('SET_FEATURES', 2), { flags: 9 }));
    const both = once.with('wire.recv', named('SET_MEM_TABLE', 2), { flags: 1 });
    const table = both.find('wire.recv', named('SET_MEM_TABLE', 1));
    expectHold('R47', both.plus({ ...table, flags: 1, t: table.t + 0.01 }));
    const unacked = once
      .with('wire.recv', named('SET_MEM_TABLE', 2), { flags: 1 })
      .with('wire.recv', named('SET_BACKEND_REQ_FD', 2), { flags: 1 })
      .with('wire.recv', named('SET_PROTOCOL_FEATURES', 2), { body: { value: '0x10cb7' } })
      .with('wire.send', named('GET_PROTOCOL_FEATURES', 2), { body: { value: '0x10cb7' } });
    expectHold('R47', unacked);
  });

  it('says nothing where no protocol features are', () =>
    expectNotApplicable('R47', server().without('wire.recv', named('SET_PROTOCOL_FEATURES'))));
});
