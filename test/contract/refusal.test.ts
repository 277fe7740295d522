import { describe, it } from 'vitest';
import { client, server } from './exchange.js';
import { expectBreak, expectHold, expectNotApplicable } from './judging.js';
import type { Story } from './timeline-builder.js';

const good = server();
const close = good.find('session.close');
const byQemu = (story: Story) =>
  story.with('session.close', ({ session }) => session === 1, { by: 'front-end', how: 'eof' });

describe('R29 QEMU keeps a back-end that suffices, and refuses one that does not', () => {
  it('holds when the peer ends its connections, and the last ends by quit', () => {
    expectHold('R29', good, /kept 2 connections/);
    expectHold('R29', client(), /kept 2 connections/);
  });

  it('breaks when QEMU ends one after its handshake', () =>
    expectBreak('R29', byQemu(good), 'violation', /QEMU closed session 1 after its handshake/));

  it('leaves a connection that ends within the handshake to R18', () => {
    const owner = good.find('wire.recv', ({ name }) => name === 'SET_OWNER');
    const cut = byQemu(good).without('wire.recv', ({ session, t }) => session === 1 && t > owner.t);
    expectHold('R29', cut, /kept 1 connection /);
  });

  it('holds when the peer no longer offers what the guest accepted', () => {
    const less = (story: Story) =>
      story.with('wire.send', ({ session, name }) => session === 1 && name === 'GET_FEATURES', {
        body: { value: '0x40000000' },
      });
    expectHold('R29', less(byQemu(good)));
  });

  it('holds when QEMU was told to', () => {
    const told = byQemu(good).plus({ t: close.t - 1, type: 'qmp.command', id: 9, execute: 'netdev_del' });
    expectHold('R29', told);
  });

  it('says nothing without a handshake', () => {
    const none = good.without('wire.recv').without('wire.send');
    expectNotApplicable('R29', none);
  });

  /** The second session's answer to a question is another. */
  const answering = (story: Story, name: string, value: bigint) =>
    story.with('wire.send', (e) => e.session === 2 && e.name === name, { body: { value: `0x${value.toString(16)}` } });
  /** QEMU ends the second session right after its handshake, and starts nothing there. */
  const refused = (story: Story): Story => {
    const last = story.find('wire.recv', ({ session, name }) => session === 2 && name === 'SET_VRING_ERR', -1);
    const gone = story.only((e) => e.t < last.t + 0.05 || !('session' in e) || e.session !== 2);
    return gone.plus({ t: last.t + 2, type: 'session.close', session: 2, by: 'front-end', how: 'eof' });
  };
  const OFFERED = 0xd7c66a7cbn;

  describe.each([
    ['a feature that the guest accepted', 'GET_FEATURES', OFFERED & ~(1n << 15n), /lacks VIRTIO_NET_F_MRG_RXBUF/],
    ['a queue pair', 'GET_QUEUE_NUM', 0n, /has 0 of 1 queue pairs/],
  ])('one that lacks %s', (_what, name, value, why) => {
    const lacking = answering(good, name, value);

    it('holds when QEMU closes it', () =>
      expectHold('R29', refused(lacking), new RegExp(`refused 1: .*${why.source}`)));

    it('breaks when QEMU starts a ring', () =>
      expectBreak(
        'R29',
        lacking,
        'violation',
        new RegExp(`started ring 0 in session 2, whose back-end .*${why.source}`),
      ));

    it('breaks when QEMU keeps it without rings', () => {
      const idle = lacking.without('ring.start', ({ session }) => session === 2).stretch(loss2(lacking), 2000);
      expectBreak('R29', idle, 'violation', new RegExp(`did not close session 2, .*${why.source}.* in 2\\d\\d\\d ms`));
    });
  });

  it('does not count features of a driver whose rings never ran before, but lets QEMU refuse', () => {
    const unused = answering(good, 'GET_FEATURES', OFFERED & ~(1n << 15n)).without(
      'ring.start',
      ({ session }) => session === 1,
    );
    expectHold('R29', unused, /kept 2 connections/);
    expectHold('R29', refused(unused));
  });

  it('breaks when one without MQ serves several pairs, and QEMU keeps it', () => {
    const pairs = server({ pairs: 2 });
    const single = answering(pairs, 'GET_PROTOCOL_FEATURES', 0x10cben).without(
      'wire.send',
      ({ session, name }) => session === 2 && name === 'GET_QUEUE_NUM',
    );
    expectBreak('R29', single, 'violation', /session 2, whose back-end has 1 of 2 queue pairs/);
    expectHold('R29', refused(single));
    expectHold('R29', answering(pairs, 'GET_QUEUE_NUM', 2n));
  });

  describe('memory slots', () => {
    const slots = (first: bigint | undefined, second: bigint) => {
      const told = (session: number, value: bigint) => {
        const asked = good.find('wire.send', (e) => e.session === session && e.name === 'GET_QUEUE_NUM');
        const body = { value: `0x${value.toString(16)}` };
        return { ...asked, t: asked.t + 0.01, request: 36, name: 'GET_MAX_MEM_SLOTS', body };
      };
      const offers = (session: number) => (session === 1 ? first !== undefined : true);
      return good
        .with('wire.send', ({ session, name }) => name === 'GET_PROTOCOL_FEATURES' && offers(session), {
          body: { value: `0x${(0x10cbfn | (1n << 15n)).toString(16)}` },
        })
        .plus(...(first === undefined ? [] : [told(1, first)]), told(2, second));
    };

    it('must hold every region that QEMU gave to a back-end before', () => {
      expectBreak(
        'R29',
        slots(32n, 1n),
        'violation',
        /started ring 0 in session 2, whose back-end has 1 of 2 memory slots/,
      );
      expectHold('R29', refused(slots(32n, 1n)));
    });

    it('that are fewer than before may be refused, or taken', () => {
      expectHold('R29', slots(32n, 4n));
      expectHold('R29', refused(slots(32n, 4n)));
      expectHold('R29', refused(slots(undefined, 7n)));
      expectBreak('R29', refused(slots(8n, 8n)), 'violation', /QEMU closed session 2 after its handshake/);
    });
  });

  it('lets QEMU refuse one that lost its protocol features, that wants an IOMMU without acknowledgements, or talks nonsense', () => {
    const none = answering(good, 'GET_FEATURES', OFFERED & ~(1n << 30n))
      .without('wire.send', ({ session, name }) => session === 2 && /PROTOCOL|QUEUE_NUM|REQ_FD/.test(name))
      .without('wire.recv', ({ session, name }) => session === 2 && /PROTOCOL|QUEUE_NUM|REQ_FD/.test(name));
    expectHold('R29', refused(none));
    const iommu = answering(good, 'GET_FEATURES', OFFERED | (1n << 33n));
    expectBreak('R29', refused(iommu), 'violation', /closed session 2/);
    expectHold('R29', refused(answering(iommu, 'GET_PROTOCOL_FEATURES', 0x10cb7n)));
    expectHold('R29', refused(answering(good, 'GET_QUEUE_NUM', 1n << 63n)));
  });

  it('lets QEMU drop one that broke the protocol, not one that misbehaves on the channel for its own requests', () => {
    const last = good.find('wire.recv', ({ session, name }) => session === 2 && name === 'SET_VRING_CALL');
    const fault = { t: last.t, type: 'peer.fault', session: 2, fault: 'stray', what: '1 stray bytes' } as const;
    expectHold('R29', refused(good.plus({ ...fault, spoils: 'stream' })));
    expectBreak('R29', refused(good.plus({ ...fault, spoils: 'channel' })), 'violation', /closed session 2/);
  });
});

/** When the second session has had its rings. */
const loss2 = (story: Story): number =>
  story.find('wire.recv', ({ session, name }) => session === 2 && name === 'SET_VRING_CALL', -1).t + 0.05;
