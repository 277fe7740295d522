import { describe, expect, test } from 'vitest';
import { PeerTraffic } from '../../src/peer/index.js';
import { Recorder } from '../../src/timeline/index.js';
import { buildPacket, virtioNetHeader } from '../../src/virtio/index.js';
import { bit, VIRTIO_NET_F_MRG_RXBUF, VIRTIO_RING_F_EVENT_IDX } from '../../src/wire/index.js';
import type { GuestRing, RingOptions, Shape } from './guest.js';
import { type Rig, rig, seen } from './rig.js';

const shapes: Shape[] = ['single', 'chain', 'indirect'];

async function running(options: RingOptions): Promise<Rig & { rx: GuestRing; tx: GuestRing }> {
  const made = rig();
  await made.frontEnd.handshake({ without: options.eventIdx === false ? bit(VIRTIO_RING_F_EVENT_IDX) : 0n });
  const [rx, tx] = made.frontEnd.startRings(options);
  await made.frontEnd.askU64('GET_FEATURES');
  return { ...made, rx, tx };
}

/** Sequence numbers of a direction in the order of the timeline. */
function numbers({ recorder }: Rig, type: 'packets.seen' | 'packets.sent'): number[] {
  return recorder
    .timeline()
    .all(type)
    .flatMap(({ seqs }) => seqs)
    .flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, i) => first + i));
}

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);

describe.each(shapes.flatMap((shape) => [true, false].map((eventIdx) => ({ shape, eventIdx }))))(
  '$shape descriptors, event-idx $eventIdx',
  ({ shape, eventIdx }) => {
    test('TX: every packet is seen once, in order, across the wrap of ring and index', async () => {
      const made = await running({ shape, eventIdx, base: 65530 });
      const { tx, recorder } = made;
      let kicks = 0;
      for (let first = 0; first < 40; first += 4) {
        tx.transmit(upTo(4).map((i) => first + i));
        if (tx.notify()) kicks++;
        await seen(recorder, 'packets.seen', ({ seqs }) => seqs.some(([, last]) => last === first + 3));
        expect(tx.takeUsed().map(({ written }) => written)).toEqual([0, 0, 0, 0]);
      }
      expect(numbers(made, 'packets.seen')).toEqual(upTo(40));
      expect(kicks).toBe(10);
      expect(recorder.timeline().all('packets.seen')).toSatisfy((all: { corrupt: number }[]) =>
        all.every(({ corrupt }) => corrupt === 0),
      );
      expect(recorder.timeline().all('ring.call').length).toBeGreaterThan(0);
      expect(tx.call.drain()).toBe(BigInt(recorder.timeline().all('ring.call').length));
    });

    test('RX: packets wait for buffers and fill them in order', async () => {
      const made = await running({ shape, eventIdx, base: 65533 });
      const { rx, traffic, session, recorder } = made;
      traffic.queueRx(0, 0, 20);
      for (const ring of session.runningRings) session.pump(ring);
      expect(recorder.latest('packets.sent')).toBeUndefined();
      const got: (number | undefined)[] = [];
      while (got.length < 20) {
        rx.post(Math.min(rx.room, 20 - got.length));
        const last = got.length + Math.min(rx.size, 20 - got.length);
        expect(last).toBeGreaterThan(got.length);
        const before = recorder.timeline().all('packets.sent').length;
        expect(rx.notify()).toBe(true);
        await seen(recorder, 'packets.sent', ({ seq }) => recorder.timeline().all('packets.sent')[before]?.seq === seq);
        got.push(...rx.receive());
      }
      expect(got).toEqual(upTo(20));
      expect(numbers(made, 'packets.sent')).toEqual(upTo(20));
    });
  },
);

test('a driver that asks for no interrupt gets none', async () => {
  const { tx, recorder } = await running({ eventIdx: false });
  tx.set16(tx.layout.avail, 1);
  tx.transmit([0]);
  tx.notify();
  await seen(recorder, 'packets.seen');
  expect(tx.call.drain()).toBe(0n);
  tx.set16(tx.layout.avail, 0);
  tx.transmit([1]);
  tx.notify();
  await seen(recorder, 'ring.call');
  expect(tx.call.drain()).toBe(1n);
});

test('packets that are not what a driver of ours sends are counted as corrupt', async () => {
  const { tx, recorder } = await running({});
  const header = virtioNetHeader(12);
  const bent = buildPacket({ dir: 'tx', pair: 0, seq: 1 });
  bent[40] = bent[40]! ^ 1;
  tx.transmit([0]);
  tx.add(Buffer.concat([header, bent]));
  tx.add(Buffer.concat([header, buildPacket({ dir: 'tx', pair: 1, seq: 2 })]));
  tx.add(Buffer.concat([header, buildPacket({ dir: 'rx', pair: 0, seq: 3 })]));
  tx.add(header);
  tx.add(Buffer.alloc(0));
  tx.transmit([6]);
  tx.notify();
  expect(await seen(recorder, 'packets.seen')).toMatchObject({
    seqs: [
      [0, 0],
      [6, 6],
    ],
    corrupt: 5,
  });
  expect(tx.takeUsed()).toHaveLength(7);
});

describe('traffic in flight', () => {
  test('held packets stay on the ring until they are released', async () => {
    const { tx, recorder, traffic, session } = await running({});
    traffic.holdTx(2);
    tx.transmit(upTo(6));
    tx.notify();
    await seen(recorder, 'packets.seen');
    expect(tx.takeUsed()).toHaveLength(2);
    tx.kick.signal();
    await seen(recorder, 'ring.kick', ({ seq }) => seq > recorder.latest('packets.seen')!.seq);
    expect(tx.takeUsed()).toEqual([]);
    traffic.releaseTx();
    for (const ring of session.runningRings) session.pump(ring);
    expect(tx.takeUsed()).toHaveLength(4);
  });

  test('the budget is one for all rings', async () => {
    const made = await running({});
    const [, other] = made.frontEnd.startRings({}, 1);
    await made.frontEnd.askU64('GET_FEATURES');
    made.traffic.holdTx(3);
    made.tx.transmit([0, 1]);
    other.transmit([0, 1]);
    made.tx.notify();
    await seen(made.recorder, 'packets.seen', ({ pair }) => pair === 0);
    other.notify();
    await seen(made.recorder, 'packets.seen', ({ pair }) => pair === 1);
    expect(made.tx.takeUsed()).toHaveLength(2);
    expect(other.takeUsed()).toHaveLength(1);
  });

  test('what was not taken or not delivered goes on in the next session', async () => {
    const recorder = new Recorder();
    const traffic = new PeerTraffic(recorder);
    const first = rig({ recorder, traffic });
    await first.frontEnd.handshake();
    const [rx] = first.frontEnd.startRings();
    traffic.queueRx(0, 0, 5);
    rx.post(2);
    rx.notify();
    await seen(recorder, 'packets.sent');
    first.session.leave('close');

    const second = rig({ recorder, traffic, number: 2 });
    await second.frontEnd.handshake();
    const [fresh] = second.frontEnd.startRings();
    fresh.post(4);
    fresh.notify();
    await seen(recorder, 'packets.sent', ({ session }) => session === 2);
    expect(fresh.receive()).toEqual([2, 3, 4]);
    expect(recorder.timeline().all('packets.sent')).toMatchObject([
      { session: 1, seqs: [[0, 1]] },
      { session: 2, seqs: [[2, 4]] },
    ]);
  });

  test('a packet waits for as many small buffers as it needs, and the guest is told how many they were', async () => {
    const { rx, traffic, session, recorder } = await running({});
    traffic.queueRx(0, 0, 1);
    const post = (head: number) => {
      rx.describe(head, rx.bufferAddr(head), 40, 2);
      rx.addHead(head);
      rx.notify();
    };
    post(0);
    await seen(recorder, 'ring.kick');
    for (const ring of session.runningRings) session.pump(ring);
    expect(rx.takeUsed()).toEqual([]);
    post(1);
    await seen(recorder, 'packets.sent');
    expect(rx.takeUsed()).toEqual([
      { head: 0, written: 40 },
      { head: 1, written: 36 },
    ]);
  });

  test('a packet that met a buffer too small for it is not lost', async () => {
    const recorder = new Recorder();
    const traffic = new PeerTraffic(recorder);
    const first = rig({ recorder, traffic });
    await first.frontEnd.handshake({ without: bit(VIRTIO_NET_F_MRG_RXBUF) });
    const [rx] = first.frontEnd.startRings();
    traffic.queueRx(0, 0, 1);
    rx.describe(0, rx.bufferAddr(0), 16, 2);
    rx.addHead(0);
    rx.notify();
    expect(await first.closed()).toMatchObject({ how: 'error', error: expect.stringContaining('room for 16') });

    const second = rig({ recorder, traffic, number: 2 });
    await second.frontEnd.handshake();
    const [fresh] = second.frontEnd.startRings();
    fresh.post(1);
    fresh.notify();
    await seen(recorder, 'packets.sent');
    expect(fresh.receive()).toEqual([0]);
  });
});
