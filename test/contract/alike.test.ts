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

  it('says nothing where no protocol features are', () =>
    expectNotApplicable('R47', server().without('wire.recv', named('SET_PROTOCOL_FEATURES'))));
});
