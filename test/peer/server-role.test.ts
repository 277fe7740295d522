import { rename } from 'node:fs/promises';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { profiles } from '../../src/peer/index.js';
import type { Recorder } from '../../src/timeline/index.js';
import { bit, protocolFeatures } from '../../src/wire/index.js';
import { ownFds } from '../os/helpers.js';
import { seen } from './rig.js';
import { ListeningQemu, site } from './sites.js';

/** DPDK's period between two dials, and how early a timer may be. */
const TICK_MS = 1000;
const EARLY_MS = 2;

const failures = (recorder: Recorder) => recorder.timeline().all('peer.dial-failed');

/** Resolves with the n-th failed dial. */
const failed = async (recorder: Recorder, n: number) => {
  await seen(recorder, 'peer.dial-failed', () => failures(recorder).length >= n);
  return failures(recorder)[n - 1]!;
};

/** Until the test ends time passes when it says so, and only timers of the product count: the test runner's own come and go. */
function fakeTimers(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] });
  onTestFinished(() => void vi.useRealTimers());
}

async function connected() {
  const made = site('server');
  const qemu = new ListeningQemu(made.path);
  await qemu.listen();
  await made.peer.arrive();
  const frontEnd = await qemu.next();
  return { ...made, qemu, frontEnd };
}

test('it dials, and the session serves', async () => {
  const { frontEnd, peer, recorder } = await connected();
  await frontEnd.handshake();
  expect(recorder.events.slice(0, 2).map(({ type }) => type)).toEqual(['peer.dial', 'session.open']);
  expect(recorder.latest('session.open')).toMatchObject({ session: 1, by: 'dial', pid: process.pid });
  expect(peer.session?.number).toBe(1);
});

describe('redialling', () => {
  test('at startup waits for the path, then dials quickly until QEMU listens', async () => {
    const { path, peer, recorder } = site('server');
    const stale = new ListeningQemu(`${path}.stale`);
    await stale.listen();
    await stale.stop();
    const arrived = peer.arrive({}, true);
    await new Promise(setImmediate);
    expect(recorder.events).toEqual([]);
    await rename(`${path}.stale`, path);
    expect(await failed(recorder, 5)).toMatchObject({ code: 'ECONNREFUSED', session: 1 });
    // On the usual tick all from the second on would be a period apart; a machine that is late makes some so, not all.
    const dials = failures(recorder).slice(1);
    const gaps = dials.slice(1).map(({ t }, i) => t - dials[i]!.t);
    expect(Math.min(...gaps)).toBeLessThan(TICK_MS / 2);
    const qemu = new ListeningQemu(path);
    await qemu.listen();
    await arrived;
    expect(peer.session?.number).toBe(1);
  });

  test('at startup dials at once what is there', async () => {
    const { path, peer } = site('server');
    const qemu = new ListeningQemu(path);
    await qemu.listen();
    await peer.arrive({}, true);
    expect(peer.session?.number).toBe(1);
  });

  test('not when it left before the path was there', async () => {
    const { path, peer, recorder } = site('server');
    const watchers = () => process.getActiveResourcesInfo().filter((name) => name === 'FSEventWrap').length;
    const before = watchers();
    const arrived = peer.arrive({}, true);
    await peer.leave('close');
    await arrived;
    // Node closes in a phase of its own.
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    expect(watchers()).toBe(before);
    const qemu = new ListeningQemu(path);
    await qemu.listen();
    expect(recorder.events).toEqual([]);
    expect(peer.session).toBeUndefined();
  });

  test('after a loss at once', async () => {
    const { frontEnd, qemu, recorder } = await connected();
    frontEnd.socket.close();
    await qemu.next();
    const open = await seen(recorder, 'session.open', ({ session }) => session === 2);
    const between = recorder.events.slice(recorder.timeline().first('session.close')!.seq, open.seq);
    expect(between.map(({ type }) => type)).toEqual(['session.close', 'peer.dial']);
  });

  test('then on a tick that runs free of when the connection broke', async () => {
    const { frontEnd, qemu, peer, recorder } = await connected();
    fakeTimers();
    const now = vi.spyOn(recorder, 'now').mockReturnValue(1300);
    /** The peer waits for so long, and no longer. */
    const waits = async (ms: number) => {
      await new Promise(setImmediate);
      vi.advanceTimersByTime(ms - 1);
      expect(vi.getTimerCount()).toBe(1);
      vi.advanceTimersByTime(1);
      expect(vi.getTimerCount()).toBe(0);
    };
    await qemu.stop();
    frontEnd.socket.close();
    const first = await failed(recorder, 1);
    const close = recorder.latest('session.close')!;
    expect(recorder.timeline().last('peer.dial', () => true, first.seq)!.seq).toBe(close.seq + 1);
    await waits(700);
    await failed(recorder, 2);
    await waits(700);
    // A timer that fires early is of the tick that it was set for.
    now.mockReturnValue(2 * TICK_MS - EARLY_MS);
    await failed(recorder, 3);
    await qemu.listen();
    await waits(TICK_MS + EARLY_MS);
    await qemu.next();
    await seen(recorder, 'session.open', ({ session }) => session === 2);
    expect(failures(recorder).map(({ code }) => code)).toEqual(['ECONNREFUSED', 'ECONNREFUSED', 'ECONNREFUSED']);
    expect(peer.session?.number).toBe(2);
  });

  test('not after it left, nor when its session ends by its own leaving', async () => {
    const { peer, recorder, qemu } = await connected();
    await peer.leave('close');
    await new Promise(setImmediate);
    expect(recorder.timeline().all('peer.dial')).toHaveLength(1);
    expect(qemu.backlog).toBe(0);
    expect(peer.session).toBeUndefined();
  });

  test('not any more once it is told to leave between two ticks', async () => {
    const { path, peer, recorder } = site('server');
    const arrived = peer.arrive();
    await failed(recorder, 1);
    await peer.leave('close');
    // The wish is over, so nobody waits for it any longer.
    await arrived;
    const dials = recorder.timeline().all('peer.dial').length;
    const qemu = new ListeningQemu(path);
    await qemu.listen();
    await new Promise((resolve) => setTimeout(resolve, TICK_MS + 50));
    expect(recorder.timeline().all('peer.dial')).toHaveLength(dials);
    expect(qemu.backlog).toBe(0);
  });
});

describe('coming and going', () => {
  test('it returns as another profile, with a fault', async () => {
    const { peer, qemu, recorder } = await connected();
    await peer.leave('abort');
    await peer.arrive({ profile: profiles['ovs-dpdk-3.5']!, fault: { stall: 'GET_QUEUE_NUM' } });
    const again = await qemu.next();
    expect(await again.askU64('GET_FEATURES')).toBe(profiles['ovs-dpdk-3.5']!.features);
    again.send('GET_QUEUE_NUM');
    await seen(recorder, 'wire.recv', ({ name }) => name === 'GET_QUEUE_NUM');
    expect(peer.session?.stalled).toBe(true);
    // The fault is of that return only; the profile stays.
    await peer.leave('close');
    await peer.arrive();
    const third = await qemu.next();
    expect(await third.askU64('GET_FEATURES')).toBe(profiles['ovs-dpdk-3.5']!.features);
    expect(await third.askU64('GET_QUEUE_NUM')).toBe(128n);
  });

  test('it returns without a protocol feature, and stays so', async () => {
    const { peer, qemu } = await connected();
    const { protocolFeatures: offered } = profiles['ovs-dpdk-3.1']!;
    const ack = bit(protocolFeatures.VHOST_USER_PROTOCOL_F_REPLY_ACK);
    await peer.leave('close');
    await peer.arrive({ deviation: { protocolFeatures: { without: ack } } });
    expect(await (await qemu.next()).askU64('GET_PROTOCOL_FEATURES')).toBe(offered & ~ack);
    await peer.leave('close');
    await peer.arrive();
    expect(await (await qemu.next()).askU64('GET_PROTOCOL_FEATURES')).toBe(offered & ~ack);
  });

  test('it returns with other features, queues and slots, stays so, and becomes the original again', async () => {
    const { peer, qemu } = await connected();
    const first = profiles['ovs-dpdk-3.1']!;
    const features = { with: bit(60), without: bit(32) };
    const offers = async () => {
      const frontEnd = await qemu.next();
      const names = ['GET_FEATURES', 'GET_QUEUE_NUM', 'GET_MAX_MEM_SLOTS'] as const;
      return [await frontEnd.askU64(names[0]), await frontEnd.askU64(names[1]), await frontEnd.askU64(names[2])];
    };
    const changed = [(first.features | bit(60)) & ~bit(32), 2n, 5n];
    await peer.leave('close');
    await peer.arrive({ deviation: { features, queuePairs: 2, memSlots: 5 } });
    expect(await offers()).toEqual(changed);
    await peer.leave('close');
    await peer.arrive();
    expect(await offers()).toEqual(changed);
    await peer.leave('close');
    await peer.arrive({ profile: 'original' });
    expect(await offers()).toEqual([first.features, BigInt(first.queuePairs), BigInt(first.memSlots)]);
  });

  test('a front-end that asks and hangs up is dialled again after a period, not at once', async () => {
    const { frontEnd, peer, recorder } = await connected();
    await frontEnd.askU64('GET_FEATURES');
    frontEnd.socket.close();
    const { t, seq } = await seen(recorder, 'session.close');
    const again = await seen(recorder, 'peer.dial', (dial) => dial.seq > seq);
    expect(again.t - t).toBeGreaterThanOrEqual(TICK_MS - EARLY_MS);
    await seen(recorder, 'session.open', ({ session }) => session === 2);
    expect(peer.session?.number).toBe(2);
  });

  test('arriving while it is there changes nothing', async () => {
    const { peer, qemu, recorder } = await connected();
    await peer.arrive();
    await peer.arrive({}, true);
    expect(recorder.timeline().all('peer.dial')).toHaveLength(1);
    expect(qemu.backlog).toBe(0);
  });

  test('wishes that cross a dial under way end in one session', async () => {
    const { path, peer, recorder } = site('server');
    const qemu = new ListeningQemu(path);
    await qemu.listen();
    const first = peer.arrive();
    const left = peer.leave('close');
    const second = peer.arrive({ profile: profiles['ovs-dpdk-3.5']! });
    await Promise.all([first, left, second]);
    const open = recorder.timeline().sessions.filter(({ close }) => !close);
    expect(open.length).toBeLessThanOrEqual(1);
    expect(peer.session?.number).toBe(open[0]?.session);
    await peer.close();
    expect(recorder.timeline().sessions.every(({ close }) => close)).toBe(true);
  });

  test('a dial that is accepted after it left ends at once and is recorded', async () => {
    const { path, peer, recorder } = site('server');
    const qemu = new ListeningQemu(path);
    await qemu.listen();
    const arrived = peer.arrive();
    await peer.leave('close');
    await arrived;
    expect(await (await qemu.next()).ended).toEqual({ how: 'eof', partial: 0 });
    expect(recorder.events.map(({ type }) => type)).toEqual(['peer.dial', 'session.open', 'session.close']);
    expect(peer.session).toBeUndefined();
  });

  test('an orderly leave first finishes what is held', async () => {
    const { peer, frontEnd, recorder } = await connected();
    await frontEnd.handshake();
    const [, tx] = frontEnd.startRings();
    await frontEnd.askU64('GET_FEATURES');
    peer.traffic.holdTx(2);
    tx.transmit([0, 1, 2, 3, 4]);
    tx.notify();
    await seen(recorder, 'packets.seen');
    await peer.leave('close');
    expect(tx.takeUsed()).toHaveLength(5);
    expect(recorder.latest('packets.seen')?.seqs).toEqual([[2, 4]]);
    expect(recorder.latest('packets.seen')!.seq).toBeLessThan(recorder.latest('session.close')!.seq);
  });

  test('an abrupt leave does not', async () => {
    const { peer, frontEnd, recorder } = await connected();
    await frontEnd.handshake();
    const [, tx] = frontEnd.startRings();
    await frontEnd.askU64('GET_FEATURES');
    peer.traffic.holdTx(2);
    tx.transmit([0, 1, 2, 3, 4]);
    tx.notify();
    await seen(recorder, 'packets.seen');
    await peer.leave('half-message');
    expect(tx.takeUsed()).toHaveLength(2);
  });
});

describe('overtaking', () => {
  test('the returning connection is established before the old one ends', async () => {
    const { peer, frontEnd, qemu, recorder } = await connected();
    await peer.overtake('close', { profile: profiles['ovs-dpdk-3.5']! });
    expect(await frontEnd.ended).toEqual({ how: 'eof', partial: 0 });
    const second = await qemu.next();
    expect(await second.askU64('GET_FEATURES')).toBe(profiles['ovs-dpdk-3.5']!.features);
    expect(recorder.events.slice(0, 5).map(({ type }) => type)).toEqual([
      'peer.dial',
      'session.open',
      'peer.dial',
      'session.open',
      'session.close',
    ]);
    expect(recorder.latest('session.close')).toMatchObject({ session: 1, by: 'peer', how: 'close' });
    expect(peer.session?.number).toBe(2);
    // It is there as before: what QEMU drops is dialled again.
    second.socket.close();
    await qemu.next();
    await seen(recorder, 'session.open', ({ session }) => session === 3);
  });

  test('is refused without a session', async () => {
    const { peer } = site('server');
    await expect(peer.overtake('close')).rejects.toMatchObject({ code: 'ERR_NO_SESSION' });
  });

  test('fails when nobody listens, and leaves the old session alone', async () => {
    const { peer, frontEnd, qemu } = await connected();
    await qemu.stop();
    await expect(peer.overtake('close')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    expect(await frontEnd.askU64('GET_STATUS')).toBe(0n);
  });
});

describe('a second client', () => {
  test('is flagged, and becomes the main session when that ends', async () => {
    const { peer, frontEnd, qemu, recorder } = await connected();
    await peer.dialExtra();
    expect(recorder.latest('session.open')).toMatchObject({ session: 2, extra: true });
    expect(peer.session?.number).toBe(1);
    frontEnd.socket.close();
    await seen(recorder, 'session.close');
    expect(peer.session?.number).toBe(2);
    // The promoted one is the connection: no other is dialled.
    const second = await qemu.next();
    expect(await second.askU64('GET_STATUS')).toBe(0n);
    expect(recorder.timeline().all('peer.dial')).toHaveLength(2);
    second.socket.close();
    await seen(recorder, 'session.open', ({ session }) => session === 3);
  });

  test('that took over after a leave is not doubled by the return', async () => {
    const { peer, recorder } = await connected();
    await peer.dialExtra();
    await peer.leave('close');
    expect(peer.session?.number).toBe(2);
    await peer.arrive();
    expect(peer.session?.number).toBe(2);
    expect(recorder.timeline().all('peer.dial')).toHaveLength(2);
  });

  test('goes on command, the main session stays', async () => {
    const { peer, qemu, recorder } = await connected();
    await peer.dialExtra();
    await peer.dialExtra();
    peer.closeExtras();
    expect(recorder.timeline().all('session.close')).toMatchObject([
      { session: 2, by: 'peer', extra: true },
      { session: 3, by: 'peer', extra: true },
    ]);
    expect(await (await qemu.next()).ended).toEqual({ how: 'eof', partial: 0 });
    expect(peer.session?.number).toBe(1);
  });
});

test('closing ends everything, twice is once, and no descriptor or timer stays', async () => {
  fakeTimers();
  const { path, peer, recorder } = site('server');
  const qemu = new ListeningQemu(path);
  await qemu.listen();
  const before = await ownFds();
  await peer.arrive();
  await peer.dialExtra();
  await qemu.stop();
  (await qemu.next()).close();
  await seen(recorder, 'session.close');
  (await qemu.next()).close();
  await failed(recorder, 1);
  await new Promise(setImmediate);
  expect(vi.getTimerCount()).toBe(1);
  await Promise.all([peer.close(), peer.close()]);
  await peer.close();
  await peer.leave('abort');
  expect(recorder.timeline().sessions.every(({ close }) => close)).toBe(true);
  expect(vi.getTimerCount()).toBe(0);
  // The listener of QEMU is gone too.
  expect(await ownFds()).toBe(before - 1);
});
