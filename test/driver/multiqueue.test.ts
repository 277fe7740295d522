import { describe, expect, it } from 'vitest';
import { Driver, personalities } from '../../src/driver/index.js';
import { Recorder } from '../../src/timeline/index.js';
import { buildPacket, parsePacket, virtioNetHeader } from '../../src/virtio/index.js';
import {
  bit,
  VIRTIO_F_VERSION_1,
  VIRTIO_NET_F_CTRL_VQ,
  VIRTIO_NET_F_GUEST_ANNOUNCE,
  VIRTIO_RING_F_EVENT_IDX,
} from '../../src/wire/index.js';
import { FakeMmio } from './fake-mmio.js';

const MEMORY = 16 * 1024 * 1024;
const everything = 2n ** 64n - 1n;

function setUp({ pairs = 4, maxPairs = 4, offered = everything, memory = MEMORY } = {}) {
  const device = new FakeMmio(maxPairs, offered);
  const recorder = new Recorder();
  const driver = new Driver({ bus: device, recorder, machine: 'microvm', pairs, personality: 'linux', memory });
  return { device, recorder, driver };
}

const turn = () => new Promise(setImmediate);

describe('the driver on a device with many queues', () => {
  it('accepts what Linux does, sets all rings up and asks for its number of pairs', async () => {
    const { device, recorder, driver } = setUp({ pairs: 3 });
    await driver.start();
    expect(device.accepted).toBe(personalities.linux.accepts);
    expect(device.accepted & bit(VIRTIO_NET_F_GUEST_ANNOUNCE)).toBe(0n);
    expect(device.pairsSet).toBe(3);
    expect([...device.queues.keys()]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    for (let ring = 0; ring < 8; ring += 2) expect(device.queue(ring).popAll()).toHaveLength(ring < 6 ? 256 : 0);
    const ready = recorder.latest('driver.ready')!;
    expect(ready.pairs).toBe(3);
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
    expect(device.accepted).toBe(personalities.linux.accepts & ~bit(VIRTIO_RING_F_EVENT_IDX));
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
        tx.push(chain.head, 0);
        return parsePacket(tx.readOut(chain).subarray(12));
      });
      expect(packets).toEqual(Array.from({ length: 5 }, (_, i) => ({ dir: 'tx', pair, seq: 100 * pair + i })));
      device.publish(2 * pair + 1);
      const rx = device.queue(2 * pair);
      const chain = rx.pop()!;
      const packet = buildPacket({ dir: 'rx', pair, seq: pair });
      rx.push(chain.head, rx.writeIn(chain, Buffer.concat([virtioNetHeader(12), packet])));
      device.publish(2 * pair);
    }
    await driver.poll();
    for (let pair = 0; pair < 4; pair++) expect([driver.completed(pair), driver.received(pair)]).toEqual([5, 1]);
  });

  it('uses one pair without a control queue, whatever else is offered', async () => {
    const { device, driver } = setUp({ pairs: 1, offered: everything & ~bit(VIRTIO_NET_F_CTRL_VQ) });
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
    ['a legacy device', 'ERR_DEVICE', { offered: everything & ~bit(VIRTIO_F_VERSION_1) }, {}],
    ['virtio-mmio of version 1', 'ERR_DEVICE', {}, { version: 1 }],
    ['refused features', 'ERR_DEVICE', {}, { refuseFeatures: true }],
    ['a missing queue', 'ERR_DEVICE', {}, { maxSize: 0 }],
    ['a refused number of pairs', 'ERR_DEVICE', {}, { ack: 1 }],
    ['too little memory', 'ERR_MEMORY', { memory: 1024 * 1024 + 4096 }, {}],
  ])('says what is wrong with %s', async (_what, code, options, quirks) => {
    const { device, driver } = setUp(options);
    Object.assign(device, quirks);
    await expect(driver.start()).rejects.toMatchObject({ code });
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
    expect(recorder.timeline().all('tester.trouble')).toHaveLength(1);
    await expect(driver.transmit(0, 0, 1)).rejects.toMatchObject({ code: 'ERR_NOT_RUNNING' });
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
