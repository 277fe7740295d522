import { describe, expect, test } from 'vitest';
import {
  bit,
  VHOST_USER_F_PROTOCOL_FEATURES,
  VIRTIO_F_VERSION_1,
  VIRTIO_NET_F_MRG_RXBUF,
} from '../../src/wire/index.js';
import { profile, type Rig, rig, seen } from './rig.js';

const PROTOCOL = bit(VHOST_USER_F_PROTOCOL_FEATURES);

/** Types of the ring events of ring 0, in order. */
const story = ({ recorder }: Rig) =>
  recorder.events.filter((event) => 'ring' in event && event.ring === 0).map(({ type }) => type);

/** Resolves when the peer has handled all that was sent. */
const handled = ({ frontEnd }: Rig) => frontEnd.askU64('GET_FEATURES');

describe('a ring is started by its kick and runs once it is enabled', () => {
  test('kick, then ENABLE', async () => {
    const made = rig();
    await made.frontEnd.handshake();
    made.frontEnd.setRing(0, { base: 7 });
    made.frontEnd.kick(0);
    await handled(made);
    expect(made.session.runningRings).toEqual([]);
    expect(made.recorder.latest('ring.start')).toMatchObject({
      size: 8,
      base: 7,
      usedIdx: 7,
      availIdx: 7,
      usedFlags: 0,
      enabled: false,
    });
    made.frontEnd.state('SET_VRING_ENABLE', 0, 1);
    await handled(made);
    expect(made.session.runningRings.map(({ index }) => index)).toEqual([0]);
    expect(story(made)).toEqual(['ring.start', 'ring.enable']);
  });

  test('ENABLE, then kick', async () => {
    const made = rig();
    await made.frontEnd.handshake();
    made.frontEnd.setRing(0);
    made.frontEnd.state('SET_VRING_ENABLE', 0, 1);
    made.frontEnd.kick(0);
    await handled(made);
    expect(made.session.runningRings).toHaveLength(1);
    expect(made.recorder.latest('ring.start')?.enabled).toBe(true);
    expect(story(made)).toEqual(['ring.enable', 'ring.start']);
  });

  test('ENABLE before SET_FEATURES', async () => {
    const made = rig();
    const { frontEnd } = made;
    frontEnd.state('SET_VRING_ENABLE', 0, 1);
    frontEnd.state('SET_VRING_ENABLE', 1, 1);
    await frontEnd.handshake();
    const rx = frontEnd.setRing(0);
    frontEnd.kick(0);
    rx.post(1);
    await handled(made);
    expect(made.session.runningRings.map(({ index }) => index)).toEqual([0]);
  });

  test('without protocol features the kick enables it', async () => {
    const made = rig();
    await made.frontEnd.handshake({ without: PROTOCOL });
    const tx = made.frontEnd.setRing(1);
    tx.transmit([0]);
    made.frontEnd.kick(1);
    await handled(made);
    expect(made.session.runningRings.map(({ index }) => index)).toEqual([1]);
    expect(tx.takeUsed()).toHaveLength(1);
  });

  test('a disabled ring keeps its packets until it is enabled again', async () => {
    const made = rig();
    await made.frontEnd.handshake();
    const [, tx] = made.frontEnd.startRings();
    made.frontEnd.state('SET_VRING_ENABLE', 1, 0);
    await handled(made);
    tx.transmit([0, 1]);
    tx.notify();
    await handled(made);
    expect(tx.takeUsed()).toEqual([]);
    made.frontEnd.state('SET_VRING_ENABLE', 1, 1);
    await handled(made);
    expect(tx.takeUsed()).toHaveLength(2);
  });

  test('ENABLE that changes nothing is no event', async () => {
    const made = rig();
    await made.frontEnd.handshake();
    made.frontEnd.startRings();
    for (const num of [1, 1, 0, 0, 1]) made.frontEnd.state('SET_VRING_ENABLE', 0, num);
    await handled(made);
    expect(story(made).filter((type) => type === 'ring.enable')).toHaveLength(3);
  });
});

describe('GET_VRING_BASE', () => {
  test('stops the ring and reports the next available index', async () => {
    const made = rig();
    const { frontEnd } = made;
    await frontEnd.handshake();
    const [, tx] = frontEnd.startRings({ base: 65534 });
    tx.transmit([0, 1, 2, 3, 4]);
    tx.notify();
    await seen(made.recorder, 'packets.seen');
    const answer = await frontEnd.ask('GET_VRING_BASE', { kind: 'vring-state', index: 1, num: 0 });
    expect(answer.payload).toEqual({ kind: 'vring-state', index: 1, num: 3 });
    expect(made.recorder.latest('ring.stop')).toMatchObject({ ring: 1, base: 3 });
    expect(made.session.runningRings.map(({ index }) => index)).toEqual([0]);
    // A ring that does not run has nothing to take.
    tx.takeUsed();
    tx.transmit([5]);
    tx.kick.signal();
    await handled(made);
    expect(tx.takeUsed()).toEqual([]);
    // It goes on where it was.
    frontEnd.state('SET_VRING_BASE', 1, 3);
    frontEnd.kick(1);
    await handled(made);
    expect(tx.takeUsed()).toHaveLength(1);
  });

  test('of a ring that never started is the base that was set', async () => {
    const { frontEnd, recorder } = rig();
    const base = (index: number) => frontEnd.ask('GET_VRING_BASE', { kind: 'vring-state', index, num: 0 });
    frontEnd.state('SET_VRING_BASE', 4, 1234);
    expect((await base(4)).payload).toMatchObject({ index: 4, num: 1234 });
    expect((await base(5)).payload).toMatchObject({ index: 5, num: 0 });
    expect(recorder.latest('ring.stop')).toBeUndefined();
  });

  test('leaves chains that were not taken for the next session', async () => {
    const made = rig();
    await made.frontEnd.handshake();
    const [, tx] = made.frontEnd.startRings();
    made.traffic.holdTx(3);
    tx.transmit([0, 1, 2, 3, 4, 5]);
    tx.notify();
    const packets = await seen(made.recorder, 'packets.seen');
    expect(packets.seqs).toEqual([[0, 2]]);
    const answer = await made.frontEnd.ask('GET_VRING_BASE', { kind: 'vring-state', index: 1, num: 0 });
    expect(answer.payload).toMatchObject({ num: 3 });
  });
});

test('many queue pairs run side by side, each with its own packets', async () => {
  const made = rig();
  await made.frontEnd.handshake();
  const pairs = Array.from({ length: 4 }, (_, pair) => made.frontEnd.startRings({ size: 16 }, pair));
  await handled(made);
  for (const [pair, [rx, tx]] of pairs.entries()) {
    made.traffic.queueRx(pair, 100 * pair, 3);
    rx.post(3);
    rx.notify();
    tx.transmit([pair, pair + 1]);
    tx.notify();
  }
  await Promise.all(
    pairs.flatMap((_, pair) => [
      seen(made.recorder, 'packets.seen', (event) => event.pair === pair),
      seen(made.recorder, 'packets.sent', (event) => event.pair === pair),
    ]),
  );
  for (const [pair, [rx, tx]] of pairs.entries()) {
    expect(rx.receive()).toEqual([100 * pair, 100 * pair + 1, 100 * pair + 2]);
    expect(tx.takeUsed()).toHaveLength(2);
    expect(made.recorder.timeline().first('packets.seen', (event) => event.pair === pair)?.seqs).toEqual([
      [pair, pair + 1],
    ]);
  }
});

test('a ring index beyond the queue pairs offered is refused', async () => {
  const { frontEnd, closed } = rig({ profile: { ...profile, queuePairs: 2 } });
  frontEnd.state('SET_VRING_NUM', 3, 256);
  expect(await frontEnd.askU64('GET_QUEUE_NUM')).toBe(2n);
  frontEnd.state('SET_VRING_NUM', 4, 256);
  expect(await closed()).toMatchObject({ how: 'error', error: expect.stringContaining('ring 4') });
});

test('the header is 10 bytes without VERSION_1 and MRG_RXBUF', async () => {
  const made = rig();
  await made.frontEnd.handshake({ without: bit(VIRTIO_F_VERSION_1) | bit(VIRTIO_NET_F_MRG_RXBUF) });
  const [rx, tx] = made.frontEnd.startRings();
  tx.transmit([9], 10);
  tx.notify();
  made.traffic.queueRx(0, 5, 1);
  rx.post(1);
  rx.notify();
  expect(await seen(made.recorder, 'packets.seen')).toMatchObject({ seqs: [[9, 9]], corrupt: 0 });
  await seen(made.recorder, 'packets.sent');
  expect(rx.receive(10)).toEqual([5]);
});
