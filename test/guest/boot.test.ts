import { expect, it } from 'vitest';
import { NIC_ID } from '../../src/qemu/index.js';
import { bootGuest, DEADLINE_MS } from './bench.js';

it(
  'boots, pings, notices that its back-end is gone and back, and is started again by a reset',
  async () => {
    const { qemu, peer, told, recorder } = await bootGuest('q35');
    await told.next('ready');
    expect(told.of('address')).toMatchObject([{ nic: 'eth0', address: '10.73.0.10/24' }]);
    const first = await told.next('ping');
    expect(first).toMatchObject({ boot: 1, nic: 'eth0', epoch: 1 });
    expect(recorder.latest('ring.start')).toBeDefined();

    const left = told.all.length;
    await peer.leave('close');
    const down = await told.next('carrier', ({ up }) => !up, left);
    const back = told.all.length;
    await peer.arrive();
    const up = await told.next('carrier', ({ up }) => up, back);
    expect(up).toMatchObject({ nic: 'eth0', ups: down.ups + 1, downs: down.downs });
    const again = await told.next('ping', () => true, told.all.indexOf(up));
    // ping went on where it was.
    expect(again.epoch).toBe(1);
    expect(again.seq).toBeGreaterThan(first.seq);

    const reset = told.all.length;
    await (await qemu.qmp).execute('system_reset');
    await told.next('boot', ({ boot }) => boot === 2, reset);
    await told.next('ping', ({ boot }) => boot === 2, reset);
    expect(told.of('trouble').filter(({ what }) => what !== 'lockup')).toEqual([]);
    qemu.quit();
    expect(await qemu.exited).toMatchObject({ code: 0, asked: 'quit' });
  },
  DEADLINE_MS * 4,
);

it(
  'boots on a microvm, with addresses and a gateway of one’s own',
  async () => {
    const { qemu, told } = await bootGuest('microvm', { address: '10.73.0.77/24', intervalMs: 50 });
    expect(await told.next('address')).toMatchObject({ address: '10.73.0.77/24' });
    await told.next('ping', ({ seq }) => seq >= 3);
    expect(told.of('trouble').filter(({ what }) => what !== 'lockup')).toEqual([]);
    qemu.quit();
    await qemu.exited;
  },
  DEADLINE_MS * 4,
);

it(
  'pings on in a new epoch when its NIC was removed and added anew',
  async () => {
    const { qemu, told, recorder, plug } = await bootGuest('pc');
    const before = await told.next('ping');
    expect(before.epoch).toBe(1);
    const qmp = await qemu.qmp;
    const removed = told.all.length;
    const deleted = new Promise<void>((resolve) =>
      recorder.listen((event) => {
        const { device } =
          event.type === 'qmp.event' && event.event === 'DEVICE_DELETED' ? (event.data as { device?: string }) : {};
        if (device === NIC_ID) resolve();
      }),
    );
    await qmp.execute('device_del', { id: NIC_ID });
    // What ping says when its NIC is gone.
    const error = await told.next('error', () => true, removed);
    expect(error).toMatchObject({ nic: 'eth0', text: expect.stringMatching(/^epoch=\d+ sendto: /) });
    await deleted;
    const { execute, arguments: args } = plug('nic');
    await qmp.execute(execute, args);
    const removedAt = told.all.indexOf(error);
    await told.next('carrier', ({ up }) => up, removedAt);
    const after = await told.next('ping', () => true, removedAt);
    expect(after.epoch).toBeGreaterThan(before.epoch);
    expect(told.of('trouble').filter(({ what }) => what !== 'lockup')).toEqual([]);
  },
  DEADLINE_MS * 4,
);
