import { once } from 'node:events';
import { afterEach, describe, expect, it } from 'vitest';
import { Driver, type MachineName } from '../../src/driver/index.js';
import { type EventBody, Recorder } from '../../src/timeline/index.js';
import { buildPacket, parsePacket } from '../../src/virtio/index.js';
import { VIRTIO_NET_F_GUEST_ANNOUNCE, VIRTIO_RING_F_EVENT_IDX } from '../../src/wire/index.js';
import { TestMachine } from './test-machine.js';

const names: MachineName[] = ['q35', 'pc', 'microvm'];

describe.each(names)('the driver on %s', (name) => {
  let machine: TestMachine | undefined;
  let driver: Driver;
  let recorder: Recorder;

  const boot = async (deviceOptions = '') => {
    machine = await TestMachine.start(name, deviceOptions);
    recorder = new Recorder();
    const { bus, memory } = machine;
    driver = new Driver({ bus, recorder, machine: name, pairs: 1, personality: 'linux', memory });
    return machine;
  };

  afterEach(async () => {
    driver.close();
    await machine?.stop();
    machine = undefined;
  });

  const all = <T extends EventBody['type']>(type: T) => recorder.timeline().all(type);
  /** Resolves once `test` holds; asked after each event. */
  const until = (test: () => boolean) =>
    new Promise<void>((resolve) => {
      const stop = recorder.listen(() => queueMicrotask(ask));
      const ask = () => {
        if (!test()) return;
        stop();
        resolve();
      };
      ask();
    });
  const rxPackets = (first: number, count: number) =>
    Array.from({ length: count }, (_, i) => buildPacket({ dir: 'rx', pair: 0, seq: first + i }));

  it('brings the device up and says how', async () => {
    await boot();
    await driver.start();
    const types = recorder.events.map(({ type }) => type);
    expect(types).toEqual([
      'driver.reset',
      'driver.config',
      'driver.features',
      'driver.ready',
      'driver.kick',
      'driver.link',
    ]);
    expect(all('driver.config')).toMatchObject([{ mac: expect.stringMatching(/^52:54:00(:[0-9a-f]{2}){3}$/) }]);
    const [features] = all('driver.features');
    const accepted = BigInt(features!.accepted);
    expect(accepted & ~BigInt(features!.offered)).toBe(0n);
    expect((accepted >> BigInt(VIRTIO_NET_F_GUEST_ANNOUNCE)) & 1n).toBe(0n);
    expect((accepted >> BigInt(VIRTIO_RING_F_EVENT_IDX)) & 1n).toBe(1n);
    const [ready] = all('driver.ready');
    expect(ready).toMatchObject({
      pairs: 1,
      rings: [
        { index: 0, size: 256 },
        { index: 1, size: 256 },
      ],
    });
    expect(all('driver.link')).toMatchObject([{ up: true }]);
  });

  it.each([
    ['', 'whole'],
    [',event_idx=off', 'whole'],
    ['', 'apart'],
    [',indirect_desc=off', 'apart'],
    ['', 'halves'],
    [',packed=on', 'whole'],
    [',packed=on,event_idx=off', 'whole'],
    [',packed=on', 'apart'],
    [',packed=on,indirect_desc=off', 'apart'],
    [',packed=on', 'halves'],
  ] as const)('moves bursts both ways by interrupts, round the rings (%s, frames %s)', async (options, frame) => {
    const { transmitted } = await boot(options);
    await driver.start({ frame });
    // What arrives shows that QEMU's end of the stream is there; before, it drops what the guest sends.
    machine!.deliver(...rxPackets(0, 1));
    await until(() => driver.received(0) === 1);
    for (let first = 0; first < 640; first += 64) {
      await driver.transmit(0, first, 64);
      machine!.deliver(...rxPackets(first + 1, 64));
      await until(() => driver.received(0) === first + 65 && driver.completed(0) === first + 64);
    }
    expect(transmitted.map((frame) => parsePacket(frame)?.seq)).toEqual(upTo(640));
    expect(all('packets.seen').flatMap(({ seqs }) => seqs.flatMap(expand))).toEqual(upTo(641));
    expect(all('packets.completed').flatMap(({ seqs }) => seqs.flatMap(expand))).toEqual(upTo(640));
    expect(all('packets.seen').every(({ corrupt }) => corrupt === 0)).toBe(true);
    expect(all('driver.interrupt').length).toBeGreaterThan(0);
    expect(all('driver.interrupt').filter(({ t, raised }) => raised === undefined || raised > t)).toEqual([]);
  });

  it('sends more than a ring holds by waiting for room', async () => {
    await boot();
    await driver.start();
    await driver.transmit(0, 1, 1000);
    await until(() => driver.completed(0) === 1000);
  });

  it('counts what it did not send as corrupt', async () => {
    await boot();
    await driver.start();
    const bad = buildPacket({ dir: 'rx', pair: 0, seq: 7 });
    bad[40]! ^= 1;
    machine!.deliver(...rxPackets(6, 1), bad, buildPacket({ dir: 'rx', pair: 1, seq: 8 }), ...rxPackets(9, 1));
    const total = () => all('packets.seen').reduce((sum, e) => sum + e.corrupt, 0);
    await until(() => driver.received(0) === 2 && total() === 2);
  });

  it('sees the link go down and up', async () => {
    const { qmp } = await boot();
    await driver.start();
    qmp('set_link', { name: 'n0', up: false });
    await until(() => all('driver.link').length === 2);
    expect(await driver.link()).toBe(false);
    qmp('set_link', { name: 'n0', up: true });
    await until(() => all('driver.link').length === 3);
    expect(all('driver.link').map(({ up }) => up)).toEqual([true, false, true]);
    expect(all('driver.interrupt').some(({ isr }) => isr & 2)).toBe(true);
  });

  it('has a life after a reset, and after a reset of the machine', async () => {
    await boot();
    await driver.start();
    await driver.transmit(0, 0, 10);
    await driver.reset();
    expect(await driver.link()).toBeUndefined();
    await expect(driver.transmit(0, 10, 1)).rejects.toMatchObject({ code: 'ERR_NOT_RUNNING' });
    await driver.start();
    await driver.transmit(0, 10, 10);
    await until(() => driver.completed(0) === 10);
    await machine!.event('RESET', () => machine!.qmp('system_reset'));
    await driver.start();
    await driver.transmit(0, 20, 10);
    machine!.deliver(...rxPackets(0, 3));
    await until(() => driver.completed(0) === 10 && driver.received(0) === 3);
  });

  it('lets go of a device that is to be removed, where the machine has a way', async () => {
    await boot(',id=nic');
    await expect(driver.eject()).rejects.toMatchObject({ code: name === 'pc' ? 'ERR_NOT_RUNNING' : 'ERR_DEVICE' });
    await driver.start();
    if (name !== 'pc') {
      await expect(driver.eject()).rejects.toMatchObject({ code: 'ERR_DEVICE' });
      expect(driver.running).toBe(true);
      return;
    }
    machine!.qmp('device_del', { id: 'nic' });
    await machine!.event('DEVICE_DELETED', () => driver.eject());
    expect(driver.running).toBe(false);
    await expect(driver.start()).rejects.toMatchObject({ code: 'ERR_NO_DEVICE' });
  });

  it('tells that QEMU is gone, also to who waits for room on a ring', async () => {
    await boot();
    await driver.start();
    machine!.qmp('stop');
    const waiting = expect(driver.transmit(0, 0, 1000)).rejects.toMatchObject({ code: 'ERR_QEMU_SOCKET' });
    await until(() => all('packets.sent').length > 0);
    machine!.process.kill('SIGKILL');
    await waiting;
    const attempts = [driver.transmit(0, 0, 10), driver.poll(), driver.link(), driver.reset()];
    for (const result of await Promise.allSettled(attempts))
      expect(result).toMatchObject({ status: 'rejected', reason: { code: 'ERR_QEMU_SOCKET' } });
    if (machine!.process.signalCode === null) await once(machine!.process, 'exit');
    await expect(driver.start()).rejects.toMatchObject({ code: 'ERR_QEMU_SOCKET' });
    expect(all('tester.trouble')).toEqual([]);
  });
});

describe('the driver on a machine it cannot drive', () => {
  it.each([
    ['microvm', '', 'ERR_DEVICE'],
    ['q35', undefined, 'ERR_NO_DEVICE'],
  ] as const)('says so (%s)', async (name, options, code) => {
    const machine = await TestMachine.start(name === 'q35' ? 'microvm' : name, '', options);
    const { bus, memory } = machine;
    const driver = new Driver({ bus, recorder: new Recorder(), machine: name, pairs: 1, personality: 'linux', memory });
    await expect(driver.start()).rejects.toMatchObject({ code });
    driver.close();
    await machine.stop();
  });
});

const upTo = (end: number) => Array.from({ length: end }, (_, i) => i);
const expand = ([first, last]: [number, number]) => Array.from({ length: last - first + 1 }, (_, i) => first + i);
