import { describe, it } from 'vitest';
import { client, server } from './exchange.js';
import { expectBreak, expectHold, expectNotApplicable } from './judging.js';
import type { Story } from './timeline-builder.js';

const good = server();
const without = (story: Story, bits: bigint) =>
  story.with('wire.recv', (e) => e.session === 2 && e.name === 'SET_PROTOCOL_FEATURES', {
    body: { value: `0x${(0x10cbfn & ~bits).toString(16)}` },
  });

describe('R30 QEMU sends nothing that was not negotiated', () => {
  it('holds when what it sends was acked on the same connection', () => {
    expectHold('R30', good, /\d+ messages of protocol features, all of them acked before/);
    expectHold('R30', client({ pairs: 2 }));
    // BACKEND_SEND_FD has no message that could be sent without it.
    expectHold('R30', without(good, 1n << 10n));
  });

  it('breaks when the feature was acked on the connection before only', () => {
    const status = /session 2: GET_STATUS .* needs VHOST_USER_PROTOCOL_F_STATUS, which was not acked/;
    expectBreak('R30', without(good, 1n << 16n), 'violation', status);
    expectBreak(
      'R30',
      without(good, 1n << 5n),
      'violation',
      /SET_BACKEND_REQ_FD .* needs VHOST_USER_PROTOCOL_F_BACKEND_REQ/,
    );
    expectBreak('R30', without(good, 1n), 'violation', /GET_QUEUE_NUM .* needs VHOST_USER_PROTOCOL_F_MQ/);
  });

  it('breaks when it is sent before the feature is acked', () => {
    const first = good.find('wire.recv', (e) => e.session === 2 && e.name === 'GET_FEATURES');
    const early = good.plus({ ...first, t: first.t - 0.0001, request: 40, name: 'GET_STATUS' });
    expectBreak('R30', early, 'violation', /GET_STATUS/);
  });

  it('says nothing without a message', () => expectNotApplicable('R30', good.without('wire.recv')));
});
