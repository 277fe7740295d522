import { describe, it } from 'vitest';
import type { BackendRecv, Hex, Json, WireSend } from '../../src/timeline/index.js';
import { server } from './exchange.js';
import { expectBreak, expectHold, expectNotApplicable } from './judging.js';

const good = server();
const { t: ready } = good.find('driver.ready');
const ask = {
  type: 'wire.send',
  session: 1,
  channel: 'backend',
  request: 1,
  name: 'BACKEND_IOTLB_MSG',
  flags: 9,
  size: 32,
  body: {},
  fds: 0,
} as const satisfies WireSend;
const answer = {
  type: 'wire.backend-recv',
  session: 1,
  request: 1,
  name: 'BACKEND_IOTLB_MSG',
  flags: 5,
  size: 8,
  body: { value: '0x1' },
} as const satisfies BackendRecv;
const asked = good.plus({ ...ask, t: ready + 10 });
/** The same in a session that lasts: the loss is too near to wait for an answer. */
const long = good.stretch(ready + 20, 3000);
const waiting = long.plus({ ...ask, t: ready + 10 });

describe("R37 the back-end's requests are answered", () => {
  it('says nothing without a request that wants an answer', () => {
    expectNotApplicable('R37', good);
    expectNotApplicable('R37', good.plus({ ...ask, flags: 1, t: ready + 10 }));
  });

  it('holds when each gets its answer', () => {
    expectHold('R37', asked.plus({ ...answer, t: ready + 11 }), /1 request of the back-end answered/);
    const twice = asked.plus({ ...ask, t: ready + 10.5 }, { ...answer, t: ready + 11 }, { ...answer, t: ready + 12 });
    expectHold('R37', twice, /2 requests/);
  });

  it('breaks when there is none', () =>
    expectBreak('R37', waiting, 'hang', /session 1: BACKEND_IOTLB_MSG of the back-end got no answer in \d+ ms/));

  it('breaks when it comes late, less what a peer kept QEMU waiting', () => {
    const late = waiting.plus({ ...answer, t: ready + 1500 });
    expectBreak('R37', late, 'violation', /answer to BACKEND_IOTLB_MSG came only after 1490 ms/);
    const fault = {
      type: 'peer.fault',
      session: 1,
      fault: 'late',
      what: '600 ms late',
      by: 600,
      t: ready + 20,
    } as const;
    expectHold('R37', late.plus(fault));
  });

  it('breaks when it has no reply flag, or nobody asked', () => {
    expectBreak('R37', asked.plus({ ...answer, flags: 1, t: ready + 11 }), 'violation', /has no reply flag/);
    expectBreak('R37', good.plus({ ...answer, t: ready + 11 }), 'violation', /was not asked for/);
    const double = asked.plus({ ...answer, t: ready + 11 }, { ...answer, t: ready + 12 });
    expectBreak('R37', double, 'violation', /was not asked for/);
    const unwanted = good.plus({ ...ask, flags: 1, t: ready + 10 }, { ...answer, t: ready + 11 });
    expectBreak('R37', unwanted, 'violation', /was not asked for/);
  });

  const vring = (index: number, noFd: boolean) => ({ vring: { index, noFd }, size: '0x1000' as string, offset: '0x0' });
  const notifier = (body: Json, value: Hex) => {
    const about = { request: 3, name: 'BACKEND_VRING_HOST_NOTIFIER_MSG' } as const;
    return long.plus(
      { ...ask, ...about, body, t: ready + 10 },
      { ...answer, ...about, body: { value }, t: ready + 11 },
    );
  };

  it('breaks when what cannot be done is said to be done', () => {
    const unknown = { request: 99, name: '#99' } as const;
    const granted = { ...answer, ...unknown, body: { value: '0x0' } };
    const said = long.plus({ ...ask, ...unknown, t: ready + 10 }, { ...granted, t: ready + 11 });
    expectBreak('R37', said, 'violation', /answer to #99 is 0, of what cannot be done/);
    expectHold('R37', long.plus({ ...ask, ...unknown, t: ready + 10 }, { ...granted, body: {}, t: ready + 11 }));
    expectBreak('R37', notifier(vring(3, false), '0x0'), 'violation', /HOST_NOTIFIER_MSG is 0/);
    expectBreak('R37', notifier({ ...vring(0, false), size: '0x2000' }, '0x0'), 'violation', /is 0/);
    expectHold('R37', notifier({ ...vring(0, false), size: '0x2000' }, '0x1'));
    expectHold('R37', notifier(vring(2, false), '0x0'));
  });

  it('breaks when what is to be done is not, while the ring runs', () => {
    expectHold('R37', notifier(vring(1, true), '0x0'));
    expectBreak('R37', notifier(vring(1, true), '0x1'), 'violation', /is 1, of what is to be done/);
    expectHold('R37', notifier(vring(2, true), '0x1'));
  });

  it('leaves a request that has a reply of its own to QEMU, unless it says that it wants one', () => {
    const lookup = { ...ask, t: ready + 10, request: 8, name: 'BACKEND_SHARED_OBJECT_LOOKUP' };
    const found = { ...answer, t: ready + 11, request: 8, name: 'BACKEND_SHARED_OBJECT_LOOKUP' };
    expectNotApplicable('R37', long.plus({ ...lookup, flags: 1 }));
    expectNotApplicable('R37', long.plus({ ...lookup, flags: 1 }, found));
    expectBreak('R37', long.plus(lookup), 'hang', /LOOKUP of the back-end got no answer/);
  });

  it('excuses the end of the channel, and an answer to what was no whole request', () => {
    expectHold('R37', waiting.plus({ type: 'wire.backend-close', session: 1, by: 'front-end', t: ready + 20 }));
    const fault = { type: 'peer.fault', session: 1, fault: 'request', what: 'size 0', spoils: 'channel' } as const;
    expectNotApplicable('R37', good.plus({ ...fault, half: true, t: ready + 10 }, { ...answer, t: ready + 11 }));
  });
});
