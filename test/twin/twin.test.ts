import { existsSync, statSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { mqPairsSet } from '../../src/virtio/index.js';
import {
  bit,
  VHOST_USER_F_PROTOCOL_FEATURES,
  VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS,
  VIRTIO_NET_F_MRG_RXBUF,
} from '../../src/wire/index.js';
import { buildTwin } from './index.js';
import { TinyBackEnd } from './support/back-end.js';
import { TinyGuest } from './support/guest.js';
import { connected, leave, restart, started, withGuest } from './support/stage.js';

const HEAD = [
  'GET_FEATURES',
  'GET_PROTOCOL_FEATURES',
  'SET_PROTOCOL_FEATURES',
  'GET_QUEUE_NUM',
  'SET_BACKEND_REQ_FD',
  'SET_OWNER',
  'GET_FEATURES',
];
const OTHER_HEAD = ['GET_FEATURES', 'GET_PROTOCOL_FEATURES', 'SET_PROTOCOL_FEATURES', 'GET_FEATURES'];
const RING_FDS = ['SET_VRING_CALL', 'SET_VRING_ERR', 'SET_VRING_CALL', 'SET_VRING_ERR'];
const ENABLE = ['SET_VRING_ENABLE', 'SET_VRING_ENABLE'];
const RING = ['SET_VRING_NUM', 'SET_VRING_BASE', 'SET_VRING_ADDR', 'SET_VRING_KICK', 'SET_VRING_CALL'];
const FEATURES = ['SET_FEATURES', 'GET_STATUS', 'SET_STATUS'];
const START = [...ENABLE, ...FEATURES, 'SET_MEM_TABLE', ...RING, ...RING, 'GET_STATUS', 'SET_STATUS'];

const frame = (text: string): Buffer => Buffer.concat([Buffer.alloc(12), Buffer.from(text.padEnd(60))]);
const texts = (peer: TinyBackEnd): string[] => peer.frames.map((bytes) => bytes.subarray(12).toString().trimEnd());

beforeAll(async () => {
  await buildTwin();
});

describe('the monitor', () => {
  it('answers as a QEMU 10.0 does', async () => {
    const { twin } = await connected({ role: 'server' });
    expect(await twin.qmp('query-version')).toMatchObject({ qemu: { major: 10, minor: 0, micro: 0 } });
    expect(await twin.qmp('query-status')).toMatchObject({ status: 'running', running: true });
    expect(await twin.qmp('query-chardev')).toEqual([
      { label: 'c0', filename: `unix:${twin.socketPath},server=on`, 'frontend-open': true },
    ]);
    await expect(twin.qmp('no-such-command')).rejects.toThrow('has not been found');
  });

  it('is deaf while the back-end keeps QEMU waiting, until it leaves', async () => {
    const { twin, peer } = await connected({ role: 'server' });
    await leave({ twin, peer });
    peer.stallAt = 'GET_PROTOCOL_FEATURES';
    await peer.dial();
    await peer.until(() => peer.names.includes('GET_PROTOCOL_FEATURES'));
    let answered = false;
    const answer = twin.qmp('query-status').then(() => {
      answered = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(answered).toBe(false);
    peer.leave();
    await answer;
  });

  it('ends the process with 0 on quit, connected or not', async () => {
    const stage = await connected({ role: 'server' });
    await leave(stage);
    await stage.twin.qmp('quit');
    expect(await stage.twin.exited).toEqual({ code: 0, signal: null });
    const other = await connected({ role: 'client' });
    await other.twin.qmp('quit');
    expect(await other.twin.exited).toEqual({ code: 0, signal: null });
  });
});

describe.each(['server', 'client'] as const)('the handshake in the %s role', (role) => {
  it('has the order of QEMU 10.0', async () => {
    const { peer } = await connected({ role });
    await peer.until(() => peer.names.length === 13);
    expect(peer.names).toEqual([...HEAD, ...RING_FDS, ...ENABLE]);
    expect(peer.seen.filter(({ needReply }) => needReply).map(({ name }) => name)).toEqual(['SET_BACKEND_REQ_FD']);
    expect(peer.seen.filter(({ fds }) => fds === 1).map(({ name }) => name)).toEqual([
      'SET_BACKEND_REQ_FD',
      ...RING_FDS,
    ]);
  });

  it('repeats a part for a second pair', async () => {
    const { peer } = await connected({ role, queuePairs: 2 });
    await peer.until(() => peer.names.length === 23);
    expect(peer.names).toEqual([...HEAD, ...RING_FDS, ...OTHER_HEAD, ...RING_FDS, ...ENABLE, ...ENABLE]);
    expect(peer.payloads('SET_VRING_ENABLE', 'vring-state').map(({ num }) => num)).toEqual([1, 1, 0, 0]);
  });

  it('starts over when the back-end leaves in its middle', async () => {
    const { twin, peer } = await started({ role });
    peer.stallAt = 'SET_OWNER';
    if (role === 'server') await peer.dial();
    await peer.until(() => peer.names.at(-1) === 'GET_FEATURES' && peer.names.length === 7);
    peer.stallAt = '';
    peer.leave();
    if (role === 'server') await peer.dial();
    await twin.qmp('qmp_capabilities');
    expect(peer.connections).toBe(2);
    expect(peer.names.slice(0, 11)).toEqual([...HEAD, ...RING_FDS]);
  });
});

describe('a guest', () => {
  it('gets its rings to the back-end with DRIVER_OK', async () => {
    const { peer, guest } = await withGuest({ role: 'server' });
    await expect.poll(() => peer.names.slice(-START.length)).toEqual(START);
    expect(peer.payloads('SET_FEATURES', 'u64').at(-1)?.value).toBe(
      (guest.features & ~bit(5) & ~bit(16) & ~bit(17)) | bit(VHOST_USER_F_PROTOCOL_FEATURES),
    );
    expect(peer.payloads('SET_VRING_NUM', 'vring-state').map(({ index, num }) => [index, num])).toEqual([
      [0, 64],
      [1, 64],
    ]);
    const [low, high] = peer.payloads('SET_MEM_TABLE', 'memory')[0]!.regions;
    expect([low!.guestAddr, low!.size, high!.guestAddr, high!.size]).toEqual([0n, 0xf0000n, 0x100000n, 0x3f00000n]);
    expect(await guest.linkUp()).toBe(true);
  });

  it('exchanges frames with the back-end and is interrupted', async () => {
    const { peer, guest } = await withGuest({ role: 'server' });
    await guest.transmit(1, [frame('one'), frame('two')]);
    await peer.until(() => peer.frames.length === 2);
    expect(texts(peer)).toEqual(['one', 'two']);
    expect(await guest.usedIdx(1)).toBe(2);
    await expect.poll(() => guest.interrupts()).toBe(1);
    peer.inject(0, frame('three'));
    await expect.poll(() => guest.interrupts()).toBe(1);
    expect(await guest.usedIdx(0)).toBe(1);
    expect(await guest.interruptLines()).toEqual(['IRQ raise 23', 'IRQ lower 23', 'IRQ raise 23', 'IRQ lower 23']);
  });

  it('sees the link go and come, and its rings go on at the used index', async () => {
    const { twin, peer, guest } = await withGuest({ role: 'server' });
    await guest.transmit(1, [frame('one'), frame('two')]);
    await peer.until(() => peer.frames.length === 2);
    await leave({ twin, peer });
    expect(await guest.linkUp()).toBe(false);
    expect(await guest.interrupts()).toBe(3);
    // Nobody is there to take it: QEMU completes it.
    await guest.transmit(1, [frame('lost')]);
    expect(await guest.usedIdx(1)).toBe(3);
    await guest.interrupts();
    await peer.dial();
    await expect.poll(() => guest.linkUp()).toBe(true);
    expect(await guest.interrupts()).toBe(3);
    await expect.poll(() => peer.names).toEqual([...HEAD, ...RING_FDS, ...START]);
    expect(peer.payloads('SET_VRING_BASE', 'vring-state').map(({ num }) => num)).toEqual([0, 3]);
    await guest.transmit(1, [frame('three')]);
    await peer.until(() => peer.frames.length === 3);
    expect(texts(peer)).toEqual(['one', 'two', 'three']);
  });

  it('loses its rings orderly with stop and gets them back with cont', async () => {
    const { twin, peer, guest } = await withGuest({ role: 'server' });
    await guest.transmit(1, [frame('one')]);
    await peer.until(() => peer.frames.length === 1);
    await twin.qmp('stop');
    expect(peer.names.slice(-3)).toEqual(['GET_VRING_BASE', 'GET_VRING_BASE', 'SET_STATUS']);
    expect(await twin.qmp('query-status')).toMatchObject({ status: 'paused' });
    await twin.qmp('cont');
    await expect.poll(() => peer.names.slice(-START.length)).toEqual(START);
    expect(peer.payloads('SET_VRING_BASE', 'vring-state').map(({ num }) => num)).toEqual([0, 0, 0, 1]);
  });

  it('uses as many pairs as it asks for', async () => {
    const { twin, peer, guest } = await withGuest({ role: 'server', queuePairs: 2 });
    const { header, data } = mqPairsSet(2);
    expect(await guest.control(Buffer.concat([header, data]))).toBe(0);
    expect(
      peer
        .payloads('SET_VRING_ENABLE', 'vring-state')
        .slice(-4)
        .map(({ num }) => num),
    ).toEqual([1, 1, 1, 1]);
    await restart({ twin, peer });
    const secondPair = [...ENABLE, 'SET_FEATURES', 'GET_STATUS', ...RING, ...RING, 'GET_STATUS', 'SET_STATUS'];
    await expect
      .poll(() => peer.names)
      .toEqual([...[...HEAD, ...RING_FDS, ...OTHER_HEAD, ...RING_FDS], ...START.slice(0, -2), ...secondPair]);
    await guest.transmit(3, [frame('second pair')]);
    await peer.until(() => peer.frames.length === 1);
  });

  it('is announced on request', async () => {
    const { twin, peer } = await withGuest({ role: 'server' });
    await twin.qmp('announce-self', { initial: 50, max: 550, rounds: 1, step: 50 });
    await peer.until(() => peer.names.at(-1) === 'SEND_RARP');
    expect(peer.payloads('SEND_RARP', 'u64')[0]?.value).toBe(0x563412005452n);
  });
});

describe('a back-end that is not as it should be', () => {
  /** The back-end comes again. @returns its messages when it was dropped */
  async function dropped({ twin, peer }: Awaited<ReturnType<typeof connected>>): Promise<string[]> {
    await peer.dial();
    await peer.until(() => peer.names.length > 0);
    await expect.poll(() => peer.gone).toBe(true);
    expect(await twin.qmp('query-status')).toMatchObject({ status: 'running' });
    return peer.names;
  }

  it('is dropped when it answers for another message, and the next one is served', async () => {
    const { twin, peer } = await connected({ role: 'server' });
    await leave({ twin, peer });
    peer.answerAs = 99;
    expect(await dropped({ twin, peer })).toEqual(['GET_FEATURES']);
    peer.answerAs = undefined;
    await peer.dial();
    await peer.until(() => peer.names.length === HEAD.length + RING_FDS.length);
  });

  it('is dropped when it has too few queue pairs, features that the guest accepted, or memory slots', async () => {
    const { twin, peer } = await withGuest({ role: 'server' });
    const { features, protocolFeatures } = peer;
    await leave({ twin, peer });
    peer.queuePairs = 0n;
    expect(await dropped({ twin, peer })).toEqual(HEAD.slice(0, 4));
    peer.queuePairs = 8n;
    for (const missing of [VIRTIO_NET_F_MRG_RXBUF, VHOST_USER_F_PROTOCOL_FEATURES]) {
      peer.features = features & ~bit(missing);
      expect((await dropped({ twin, peer })).at(-1)).toBe('SET_VRING_ERR');
    }
    peer.features = features;
    peer.protocolFeatures = protocolFeatures | bit(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS);
    peer.slots = 7n;
    expect((await dropped({ twin, peer })).at(-1)).toBe('GET_MAX_MEM_SLOTS');
    peer.slots = 8n;
    await peer.dial();
    await peer.until(() => peer.names.filter((name) => name === 'ADD_MEM_REG').length === 2);
  });

  it('is served without protocol features, where none had them before', async () => {
    const { twin, peer } = await started({ role: 'server' });
    peer.features &= ~bit(VHOST_USER_F_PROTOCOL_FEATURES);
    await peer.dial();
    await twin.qmp('qmp_capabilities');
    expect(peer.names).toEqual(['GET_FEATURES', 'SET_OWNER', 'GET_FEATURES', ...RING_FDS]);
  });

  it('gets answers to its own requests, refused all of them', async () => {
    const { peer } = await connected({ role: 'server' });
    expect(await peer.request(5000)).toBe(1n);
  });

  it('gets no rings when it refuses the MTU', async () => {
    const { peer } = await withGuest({ role: 'server', mtu: 1400 });
    expect(peer.payloads('NET_SET_MTU', 'u64')).toEqual([{ kind: 'u64', value: 1400n }]);
    const strict = await connected({ role: 'server', mtu: 9000 });
    strict.peer.refuseAt = 'NET_SET_MTU';
    await new TinyGuest(strict.twin, 1).start();
    await strict.peer.until(() => strict.peer.names.at(-1) === 'NET_SET_MTU');
    await strict.twin.qmp('query-status');
    expect(strict.peer.names.at(-1)).toBe('NET_SET_MTU');
  });

  it('keeps the main loop waiting when it does not read', async () => {
    const { twin, peer } = await connected({ role: 'server' });
    peer.deaf = true;
    await twin.qmp('announce-self', { initial: 0, max: 0, rounds: 3, step: 0 });
    let answered = false;
    const answer = twin.qmp('query-status').then(() => {
      answered = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(answered).toBe(false);
    peer.leave();
    await answer;
  });
});

describe('a listening twin', () => {
  it('keeps its path and serves one peer after the other', async () => {
    const { twin, peer } = await connected({ role: 'server' });
    const { ino } = statSync(twin.socketPath);
    const second = new TinyBackEnd(twin.socketPath);
    await second.dial();
    await twin.qmp('query-status');
    expect(second.seen).toEqual([]);
    peer.leave();
    await second.until(() => second.names.length >= HEAD.length);
    await second.close();
    expect(statSync(twin.socketPath).ino).toBe(ino);
    await twin.qmp('quit');
    await twin.exited;
    expect(existsSync(twin.socketPath)).toBe(false);
  });
});

describe('a dialling twin', () => {
  it('dials again one interval after the loss', async () => {
    const { twin, peer } = await connected({ role: 'client' });
    const left = performance.now();
    await leave({ twin, peer });
    await peer.until(() => peer.connections === 2);
    expect(performance.now() - left).toBeGreaterThanOrEqual(990);
  });

  it('waits at its start for a listener', async () => {
    const { twin, peer } = await started({ role: 'client', absent: true });
    await expect.poll(() => twin.stderr).toMatch(/Unable to connect/);
    await peer.listen();
    await twin.qmp('qmp_capabilities');
    expect(peer.connections).toBe(1);
    expect(twin.stderr.match(/Unable to connect/g)).toHaveLength(1);
  });

  it('never dials again without an interval', async () => {
    const { twin, peer } = await connected({ role: 'client', reconnect: 0 });
    await leave({ twin, peer });
    await new Promise((resolve) => setTimeout(resolve, 1200));
    expect(peer.connections).toBe(1);
    await twin.qmp('quit');
    expect(await twin.exited).toEqual({ code: 0, signal: null });
  });
});

it('ends with the tester', async () => {
  const { twin } = await connected({ role: 'server' });
  (await twin.monitor).close();
  await twin.exited;
});
