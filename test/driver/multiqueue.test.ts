import { describe, expect, it } from 'vitest';
import { Driver, personalities } from '../../src/driver/index.js';
import { Recorder } from '../../src/timeline/index.js';
import { buildPacket, parsePacket, virtioNetHeader } from '../../src/virtio/index.js';
import {
  bit,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_VERSION_1,
  VIRTIO_NET_F_CTRL_VQ,
  VIRTIO_NET_F_GUEST_ANNOUNCE,
  VIRTIO_NET_F_MRG_RXBUF,
  VIRTIO_NET_F_MTU,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
} from '../../src/wire/index.js';
import { FakeMmio } from './fake-mmio.js';

const MEMORY = 16 * 1024 * 1024;
const everything = 2n ** 64n - 1n;

interface Options {
  pairs?: number;
  maxPairs?: number;
  offered?: bigint;
  memory?: number;
}

function setUpDevice({ pairs = 4, maxPairs = 4, offered = everything, memory = MEMORY }: Options) {
  const device = new FakeMmio(maxPairs, offered);
  const recorder = new Recorder();
  const driver = new Driver({ bus: device, recorder, machine: 'microvm', pairs, personality: 'linux', memory });
  return { device, recorder, driver };
}

const turn = () => new Promise(setImmediate);

const layouts = [
  { layout: 'split', features: everything & ~bit(VIRTIO_F_RING_PACKED) },
  { layout: 'packed', features: everything },
] as const;

describe.each(layouts)('the driver on a device with many $layout queues', ({ layout, features }) => {
  const setUp = (options: Options = {}) => setUpDevice({ offered: features, ...options });
  const accepts = personalities.linux.accepts & features;

  it('accepts what Linux does, sets all rings up and asks for its number of pairs', async () => {
    const { device, recorder, driver } = setUp({ pairs: 3 });
    await driver.start();
    expect(device.accepted).toBe(accepts);
    expect(device.accepted & bit(VIRTIO_NET_F_GUEST_ANNOUNCE)).toBe(0n);
    expect(device.pairsSet).toBe(3);
    expect([...device.queues.keys()]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    for (let ring = 0; ring < 8; ring += 2) expect(device.queue(ring).popAll()).toHaveLength(ring < 6 ? 256 : 0);
    const ready = recorder.latest('driver.ready')!;
    expect(ready.pairs).toBe(3);
    expect(ready.layout).toBe(layout === 'packed' ? 'packed' : undefined);
    expect(ready.rings.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5]);
    const ends = [...device.queues.values()].map(({ used }) => Number(used));
    expect(Math.min(...ends)).toBeGreaterThan(0x100000);
  });

  it('starts anew with fewer features and pairs, and its rings elsewhere', async () => {
    const { device, recorder, driver } = setUp();
    await driver.start();
    const first = recorder.latest('driver.ready')!;
    await driver.reset();
    await driver.start({ decline: bit(VIRTIO_RING_F_EVENT_IDX), pairs: 1 });
    expect(device.accepted).toBe(accepts & ~bit(VIRTIO_RING_F_EVENT_IDX));
    expect(device.pairsSet).toBe(1);
    const second = recorder.latest('driver.ready')!;
    expect(second.pairs).toBe(1);
    expect(second.rings.map(({ index }) => index)).toEqual([0, 1]);
    const ends = first.rings.map(({ used }) => Number(used));
    for (const { desc } of second.rings) expect(Number(desc)).toBeGreaterThan(Math.max(...ends));
    await driver.reset();
    await driver.start();
    expect(recorder.latest('driver.ready')).toMatchObject({ pairs: 4, rings: first.rings });
  });

  it('keeps the pairs apart', async () => {
    const { device, driver } = setUp();
    await driver.start();
    for (let pair = 0; pair < 4; pair++) {
      await driver.transmit(pair, 100 * pair, 5);
      const tx = device.queue(2 * pair + 1);
      const packets = tx.popAll().map((chain) => {
        tx.push(chain, 0);
        return parsePacket(tx.readOut(chain).subarray(12));
      });
      expect(packets).toEqual(Array.from({ length: 5 }, (_, i) => ({ dir: 'tx', pair, seq: 100 * pair + i })));
      device.publish(2 * pair + 1);
      const rx = device.queue(2 * pair);
      const chain = rx.pop()!;
      const packet = buildPacket({ dir: 'rx', pair, seq: pair });
      rx.push(chain, rx.writeIn(chain, Buffer.concat([virtioNetHeader(12), packet])));
      device.publish(2 * pair);
    }
    await driver.poll();
    for (let pair = 0; pair < 4; pair++) expect([driver.completed(pair), driver.received(pair)]).toEqual([5, 1]);
  });

  it('records the MTU where the device offers one, again when it changes', async () => {
    const { device, recorder, driver } = setUp();
    const mtus = () =>
      recorder
        .timeline()
        .all('driver.config')
        .map(({ mtu }) => mtu);
    await driver.start();
    expect(mtus()).toEqual([1500]);
    await driver.link();
    device.mtu = 0;
    await driver.link();
    expect(mtus()).toEqual([1500, 0]);
    const without = setUp({ offered: features & ~bit(VIRTIO_NET_F_MTU) });
    await without.driver.start();
    expect(without.recorder.latest('driver.config')).not.toHaveProperty('mtu');
  });

  it('uses one pair without a control queue, whatever else is offered', async () => {
    const { device, driver } = setUp({ pairs: 1, offered: features & ~bit(VIRTIO_NET_F_CTRL_VQ) });
    await driver.start();
    expect([...device.queues.keys()]).toEqual([0, 1]);
    expect(device.pairsSet).toBeUndefined();
  });

  it('takes a burst to the device in a handful of commands', async () => {
    const { device, driver } = setUp({ pairs: 1, maxPairs: 1 });
    await driver.start();
    device.commands = 0;
    await driver.transmit(0, 0, 64);
    expect(device.commands).toBeLessThanOrEqual(6);
  });

  it('does not kick a device that asked for no notifications', async () => {
    const { recorder, driver } = setUp({ pairs: 1, maxPairs: 1 });
    await driver.start();
    await driver.transmit(0, 0, 1);
    const kicks = recorder.timeline().all('driver.kick').length;
    // avail_event stays where it was: the device has not asked again.
    await driver.transmit(0, 1, 1);
    expect(recorder.timeline().all('driver.kick')).toHaveLength(kicks);
  });

  it.each([
    ['fewer pairs than wanted', 'ERR_DEVICE', { pairs: 5 }, {}],
    ['more pairs than there can be', 'ERR_DEVICE', { maxPairs: 512 }, {}],
    ['none', 'ERR_DEVICE', { maxPairs: 0 }, {}],
    ['a legacy device', 'ERR_DEVICE', { offered: features & ~bit(VIRTIO_F_VERSION_1) }, {}],
    ['virtio-mmio of version 1', 'ERR_DEVICE', {}, { version: 1 }],
    ['nothing that answers', 'ERR_DEVICE', {}, { afterReset: 0xff }],
    ['too little memory', 'ERR_MEMORY', { memory: 1024 * 1024 + 4096 }, {}],
  ])('says what is wrong with %s', async (_what, code, options, quirks) => {
    const { device, recorder, driver } = setUp(options);
    Object.assign(device, quirks);
    await expect(driver.start()).rejects.toMatchObject({ code });
    expect(recorder.latest('driver.broken')).toBeUndefined();
  });

  it.each([
    ['device', 'status 4 after a reset', { afterReset: 4 }],
    ['device', /^the device refuses the features 0x[0-9a-f]+, which it offers$/, { refuseFeatures: true }],
    ['device', 'the device has no queue 0, and claims 4 pairs', { maxSize: 0 }],
    ['command', 'control command 0400 0400 was answered with 1', { ack: 1 }],
  ])('records that the device breaks the rules of %s: %s', async (rule, what, quirks) => {
    const { device, recorder, driver } = setUp();
    Object.assign(device, quirks);
    await expect(driver.start()).rejects.toMatchObject({ code: 'ERR_DEVICE' });
    const told = typeof what === 'string' ? what : expect.stringMatching(what);
    expect(recorder.timeline().all('driver.broken')).toMatchObject([{ rule, what: told }]);
  });

  it('does not take a device that was reset on the way for one that refuses', async () => {
    const { device, recorder, driver } = setUp();
    Object.assign(device, { acceptsStatus: false });
    await expect(driver.start()).rejects.toMatchObject({ code: 'ERR_DEVICE' });
    expect(recorder.latest('driver.broken')).toBeUndefined();
  });

  it.each([
    ['what it never got', 1, 7],
    ['a receive buffer that there is not', 0, 300],
  ])('tells of a device that hands back %s, once, and stops', async (_what, ring, head) => {
    const { device, recorder, driver } = setUp({ pairs: 1, maxPairs: 1 });
    await driver.start();
    device.forgeUsed(ring, head);
    for (let i = 0; i < 10; i++) await turn();
    device.interrupt(2);
    for (let i = 0; i < 10; i++) await turn();
    expect(recorder.timeline().all('driver.broken')).toMatchObject([{ rule: 'ring', ring }]);
    expect(recorder.timeline().all('tester.trouble')).toEqual([]);
    await expect(driver.transmit(0, 0, 1)).rejects.toMatchObject({ code: 'ERR_RING' });
    // Its interrupts are served still.
    expect(recorder.latest('driver.interrupt')).toMatchObject({ isr: 2 });
    await driver.start();
    await driver.transmit(0, 0, 1);
  });

  /** What the device finds on a ring, and hands back at once. */
  const take = (device: FakeMmio, ring: number) => {
    const queue = device.queue(ring);
    const chains = queue.popAll();
    const bytes = chains.map((chain) => queue.readOut(chain));
    for (const chain of chains) queue.push(chain, 0);
    device.publish(ring);
    return { chains, packets: bytes.map((frame) => parsePacket(frame.subarray(12))?.seq) };
  };

  it.each([
    ['whole', true, 1, 1],
    ['whole', false, 1, 1],
    ['apart', true, 1, 2],
    ['apart', false, 2, 2],
    ['halves', true, 1, 1],
  ] as const)('lays frames out %s, indirect %s: %i slot(s), %i piece(s)', async (frame, indirect, slots, pieces) => {
    const { device, driver } = setUp({ pairs: 1, maxPairs: 1 });
    await driver.start({ frame, decline: indirect ? 0n : bit(VIRTIO_RING_F_INDIRECT_DESC) });
    const room = 256 / slots;
    expect(driver.room(0)).toBe(room);
    // Round the ring twice and a bit.
    for (let first = 0; first < 600; first += 50) {
      await driver.transmit(0, first, 50);
      const { chains, packets } = take(device, 1);
      expect(packets).toEqual(Array.from({ length: 50 }, (_, i) => first + i));
      for (const chain of chains) {
        expect(chain.out.map(({ length }) => length)).toEqual(pieces === 2 ? [12, 64] : [76]);
        expect(chain.slots).toBe(layout === 'packed' ? slots : 1);
      }
      await driver.poll();
    }
    expect(driver.completed(0)).toBe(600);
    const buffers = device.queue(0).popAll();
    expect(buffers).toHaveLength(256 / slots);
    const lengths = { whole: [256], apart: [12, 244], halves: [64] }[frame];
    for (const buffer of buffers) expect(buffer.in.map(({ length }) => length)).toEqual(lengths);
  });

  it('really goes through a table when it may, and not when it may not', async () => {
    for (const indirect of [true, false]) {
      const { device, driver } = setUp({ pairs: 1, maxPairs: 1 });
      await driver.start({ frame: 'apart', decline: indirect ? 0n : bit(VIRTIO_RING_F_INDIRECT_DESC) });
      await driver.transmit(0, 0, 1);
      const { desc } = device.queues.get(1)!;
      const flags = device.memory.read(desc + (layout === 'packed' ? 14n : 12n), 2).readUInt16LE() & 7;
      // INDIRECT, or NEXT.
      expect(flags).toBe(indirect ? 4 : 1);
    }
  });

  it('puts frames together that the device spread over several buffers', async () => {
    const { device, recorder, driver } = setUp({ pairs: 1, maxPairs: 1 });
    await driver.start({ frame: 'halves' });
    const queue = device.queue(0);
    const fill = (part: Buffer) => {
      const chain = queue.pop()!;
      queue.push(chain, queue.writeIn(chain, part));
    };
    const put = (seq: number, buffers: number) => {
      const bytes = Buffer.concat([virtioNetHeader(12, buffers), buildPacket({ dir: 'rx', pair: 0, seq })]);
      fill(bytes.subarray(0, 64));
      return () => fill(bytes.subarray(64));
    };
    for (let seq = 0; seq < 300; seq += 3) {
      put(seq, 2)();
      const second = put(seq + 1, 2);
      device.publish(0);
      await driver.poll();
      // The rest of the second one comes only now.
      second();
      put(seq + 2, 2)();
      device.publish(0);
      await driver.poll();
      expect(driver.received(0)).toBe(seq + 3);
    }
    expect(recorder.timeline().all('packets.seen')).toSatisfy((all: { corrupt: number }[]) =>
      all.every((e) => e.corrupt === 0),
    );
    put(300, 9999);
    device.publish(0);
    await driver.poll();
    expect(recorder.latest('packets.seen')).toMatchObject({ seqs: [], corrupt: 1 });
  });

  it('needs a device that merges for frames in halves', async () => {
    const { driver } = setUp({ pairs: 1 });
    const start = driver.start({ frame: 'halves', decline: bit(VIRTIO_NET_F_MRG_RXBUF) });
    await expect(start).rejects.toMatchObject({ code: 'ERR_DEVICE' });
  });

  it('kicks as often as it is told, whatever the device wants, and says so once', async () => {
    const { recorder, driver } = setUp({ pairs: 1, maxPairs: 1 });
    await expect(driver.kick(0, 1)).rejects.toMatchObject({ code: 'ERR_NOT_RUNNING' });
    expect(driver.room(0)).toBe(0);
    await driver.start();
    const before = recorder.timeline().all('driver.kick').length;
    await driver.kick(0, 3);
    await driver.kick(0, 1);
    const kicks = recorder.timeline().all('driver.kick').slice(before);
    expect(kicks.map(({ ring, count }) => [ring, count])).toEqual([
      [1, 3],
      [1, undefined],
    ]);
  });

  it('lets nobody wait for a device that is reset or a driver that is closed', async () => {
    for (const end of ['reset', 'close'] as const) {
      const { driver } = setUp({ pairs: 1, maxPairs: 1 });
      await driver.start();
      const waiting = expect(driver.transmit(0, 0, 1000)).rejects.toMatchObject({ code: 'ERR_NOT_RUNNING' });
      await turn();
      await driver[end]();
      await waiting;
    }
    await expect(setUp().driver.reset()).rejects.toMatchObject({ code: 'ERR_NOT_RUNNING' });
    expect(await setUp().driver.link()).toBeUndefined();
  });
});
