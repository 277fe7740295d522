import { describe, it } from 'vitest';
import { server } from './exchange.js';
import { expectBreak, expectHold, expectNotApplicable } from './judging.js';

const good = server({});
const second = good.find('session.close', ({ session }) => session === 1);

describe('R22 messages', () => {
  it('holds on a regular exchange', () => expectHold('R22', good, /well-formed messages/));

  it('breaks when a feature is acked that was not offered', () => {
    const excess = { body: { value: '0x1000010cbf' } };
    const acking = good.with('wire.recv', ({ name }) => name === 'SET_PROTOCOL_FEATURES', excess);
    expectBreak('R22', acking, 'violation', /SET_PROTOCOL_FEATURES acks 0x1000000000, which the peer did not offer/);
  });

  it('breaks when the peer had to refuse a message', () => {
    const refusal = { by: 'peer', how: 'error', error: 'SET_VRING_KICK came with 0 file descriptors', code: 'ERR_FDS' };
    const refused = good.with('session.close', (e) => e.session === second.session, refusal as Partial<typeof second>);
    expectBreak('R22', refused, 'violation', /session 1: SET_VRING_KICK came with 0 file descriptors/);
  });

  it('takes trouble with memory or rings for what it is: not about messages', () => {
    const trouble = { by: 'peer', how: 'error', error: 'EFAULT', code: 'EFAULT' } as Partial<typeof second>;
    expectHold(
      'R22',
      good.with('session.close', (e) => e.session === 1, trouble),
    );
  });

  it('breaks when XEN_MMAP was acked, and the regions have no more members than without', () => {
    const xen = (0x10cbfn | (1n << 17n)).toString(16);
    const acked = good
      .with('wire.send', ({ name }) => name === 'GET_PROTOCOL_FEATURES', { body: { value: `0x${xen}` } })
      .with('wire.recv', ({ name }) => name === 'SET_PROTOCOL_FEATURES', { body: { value: `0x${xen}` } });
    const sized = (story: typeof good, size: number) =>
      story.with('wire.recv', ({ name }) => name === 'SET_MEM_TABLE', { size });
    // Two regions.
    expectBreak(
      'R22',
      sized(acked, 72),
      'violation',
      /SET_MEM_TABLE \(message \d+\) has regions of 32 bytes, 40 with XEN_MMAP/,
    );
    expectHold('R22', sized(acked, 88));
    expectHold('R22', sized(good, 72));
  });

  it('says nothing without a message', () => expectNotApplicable('R22', good.without('wire.recv')));
});
