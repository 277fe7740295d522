import { once } from 'node:events';
import { existsSync, renameSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { MigrationStream, savedRings } from '../../src/migration/index.js';
import { countFds, countThreads, mainThreadTimes, memoryOf } from '../../src/os/index.js';
import { mqPairsSet } from '../../src/virtio/index.js';
import { bit, VHOST_F_LOG_ALL, VHOST_USER_F_PROTOCOL_FEATURES } from '../../src/wire/index.js';
import { twinFaults } from './index.js';
import { TinyBackEnd } from './support/back-end.js';
import { QUEUE_SIZE, type TinyGuest } from './support/guest.js';
import { chardevConnected, connected, leave, restart, started, withGuest } from './support/stage.js';
import type { RunningTwin, TwinOptions } from './support/tester.js';

interface Stage {
  twin: RunningTwin;
  peer: TinyBackEnd;
}
interface GuestStage extends Stage {
  guest: TinyGuest;
}

/** Long enough to see that something does not happen, on a machine that is not too slow for it. */
const QUIET_MS = 400;

const PLAIN = bit(VHOST_USER_F_PROTOCOL_FEATURES);
const frames = Array.from({ length: 16 }, (_, i) => Buffer.concat([Buffer.alloc(12), Buffer.alloc(60, i + 1)]));

const duration = async (work: () => Promise<unknown>): Promise<number> => {
  const from = performance.now();
  await work();
  return performance.now() - from;
};

/** The back-end leaves, and is dialled again. */
const redialled = async (peer: TinyBackEnd): Promise<void> => {
  peer.leave();
  await peer.until(() => peer.connections === 2);
};

const features = ({ peer }: Stage): bigint[] => peer.payloads('SET_FEATURES', 'u64').map(({ value }) => value);
const numbers = ({ peer }: Stage, name: string): number[] => peer.payloads(name, 'vring-state').map(({ num }) => num);

const LOG = bit(VHOST_F_LOG_ALL);
/** A page that nothing else touches. */
const PAGE = 0x200_0000;

/** Migrates, with a pause before the switch-over, to a destination that takes everything, or breaks off at once. */
async function migrate({ twin }: Stage, destination: 'takes' | 'breaks off' = 'takes') {
  const path = `${twin.socketPath}.destination`;
  const pages = new Map<number, number>();
  const stream = new MigrationStream({ page: (_block, offset) => pages.set(offset, (pages.get(offset) ?? 0) + 1) });
  const server = createServer((socket) => {
    socket.on('error', () => {});
    if (destination === 'takes') socket.on('data', (bytes) => stream.push(bytes));
    else socket.destroy();
  }).listen(path);
  await once(server, 'listening');
  await twin.qmp('migrate-set-capabilities', {
    capabilities: [{ capability: 'pause-before-switchover', state: true }],
  });
  await twin.qmp('migrate', { uri: `unix:${path}` });
  server.unref();
  const status = async () => (await twin.qmp<{ status: string }>('query-migrate')).status;
  return { pages, stream, status, until: (word: string) => expect.poll(status).toBe(word) };
}

/** Has the device use so many pairs. @returns its answer, and what it sent for each ring because of it */
async function changePairs({ guest, peer, twin }: GuestStage, pairs: number) {
  const before = numbers({ peer, twin }, 'SET_VRING_ENABLE').length;
  const { header, data } = mqPairsSet(pairs);
  const answer = await guest.control(Buffer.concat([header, data]));
  // What is not sent is looked for where the peer has read all that was.
  await delay(QUIET_MS);
  return { answer, enabled: numbers({ peer, twin }, 'SET_VRING_ENABLE').slice(before) };
}

/** Lets packets through, restarts the back-end and lets it settle. */
async function traffic({ peer, guest, twin }: GuestStage): Promise<void> {
  await guest.transmit(1, frames);
  await peer.until(() => peer.frames.length === frames.length);
  await restart({ twin, peer });
}

/** Sends the frames again after a restart. @returns how they arrived */
async function again(stage: GuestStage): Promise<Buffer[]> {
  await traffic(stage);
  await stage.guest.transmit(1, frames);
  await stage.peer.until(() => stage.peer.frames.length === 2 * frames.length);
  return stage.peer.frames.slice(frames.length);
}

/** The last words of the events by which management was told of connections and losses. */
const announced = async ({ twin }: { twin: RunningTwin }): Promise<string[]> =>
  (await twin.monitor).aside.flatMap((line) => /"NETDEV_VHOST_USER_(\w+)"/.exec(line)?.[1] ?? []);

const withoutDriver: Record<string, (stage: Stage) => Promise<void>> = {
  'self-dial-abort': async (stage) => {
    await leave(stage);
    expect(await stage.twin.exited).toMatchObject({ signal: 'SIGABRT' });
    expect(stage.twin.stderr).toMatch(/tcp_chr_change_state: Assertion/);
  },
  'keeps-insufficient-peer': async ({ twin, peer }) => {
    await leave({ twin, peer });
    peer.queuePairs = 0n;
    await peer.dial();
    await peer.until(() => peer.names.includes('SET_VRING_ERR'));
    expect(twin.stderr).toMatch(/more queues than supported: 0/);
  },
  'takes-any-answer': async ({ twin, peer }) => {
    await leave({ twin, peer });
    peer.answerAs = 99;
    await peer.dial();
    await peer.until(() => peer.names.includes('SET_VRING_ERR'));
  },
  'requests-unanswered': async ({ twin, peer }) => {
    await restart({ twin, peer });
    expect(await peer.request(QUIET_MS)).toBeUndefined();
  },
  'requests-granted': async ({ twin, peer }) => {
    await restart({ twin, peer });
    expect(await peer.request(30_000)).toBe(0n);
  },
  'self-dial-quiet': async (stage) => {
    await leave(stage);
    renameSync(stage.twin.socketPath, `${stage.twin.socketPath}.aside`);
    const decoy = new TinyBackEnd(stage.twin.socketPath);
    await decoy.listen();
    await decoy.until(() => decoy.connections === 1);
    await decoy.close();
    expect(stage.twin.process.exitCode).toBeNull();
  },
  'abort-on-loss': async ({ twin, peer }) => {
    peer.leave();
    expect(await twin.exited).toMatchObject({ signal: 'SIGABRT' });
  },
  'crash-on-second-loss': async (stage) => {
    await restart(stage);
    stage.peer.leave();
    expect(await stage.twin.exited).toMatchObject({ signal: 'SIGSEGV' });
  },
  'drops-healthy-peer': async ({ twin, peer }) => {
    await leave({ twin, peer });
    await peer.dial();
    // The handshake went through; then the connection is gone although the back-end did not leave.
    await peer.until(() => peer.connections === 2 && peer.names.includes('SET_OWNER'));
    await expect.poll(() => chardevConnected(twin)).toBe(false);
  },
  'qmp-dead-while-away': async ({ twin, peer }) => {
    peer.leave();
    await expect.poll(() => twin.stderr).toMatch(/Unexpected end-of-file/);
    const answer = twin.qmp('query-status');
    await expect(Promise.race([answer, delay(QUIET_MS, 'silent')])).resolves.toBe('silent');
    await peer.dial();
    await answer;
  },
  'second-monitor-silent': async ({ twin }) => {
    const second = await twin.secondMonitor();
    await expect.poll(() => second.aside.length).toBe(1);
    const answer = second.ask('{"execute": "qmp_capabilities"}').catch(() => 'closed');
    await expect(Promise.race([answer, delay(QUIET_MS, 'silent')])).resolves.toBe('silent');
    second.close();
  },
  'second-monitor-not-told': async ({ twin }) => {
    const second = await twin.secondMonitor();
    await twin.qmp('stop');
    await second.ask('{"execute": "query-status"}');
    expect((await twin.monitor).aside.filter((line) => line.includes('"STOP"'))).toHaveLength(1);
    expect(second.aside.filter((line) => line.includes('"STOP"'))).toEqual([]);
    second.close();
  },
  'pause-on-loss': async (stage) => {
    await leave(stage);
    expect(await stage.twin.qmp('query-status')).toMatchObject({ status: 'paused' });
  },
  'quit-exit-1': async ({ twin }) => {
    await twin.qmp('quit');
    expect(await twin.exited).toEqual({ code: 1, signal: null });
  },
  'quit-hangs': async ({ twin }) => {
    await twin.qmp('quit');
    await delay(QUIET_MS);
    expect(twin.process.exitCode).toBeNull();
  },
  'fd-leak': async (stage) => {
    const { pid } = stage.twin.process;
    const before = countFds(pid!)!;
    await restart(stage);
    await expect.poll(() => countFds(pid!)! - before).toBe(4);
  },
  'thread-leak': async (stage) => {
    const { pid } = stage.twin.process;
    const before = countThreads(pid!)!;
    await restart(stage);
    await expect.poll(() => countThreads(pid!)! - before).toBe(1);
  },
  'serve-second-client': async ({ twin, peer }) => {
    const second = new TinyBackEnd(twin.socketPath);
    await second.dial();
    await second.until(() => second.names.includes('SET_OWNER'));
    expect(peer.connections).toBe(1);
    await second.close();
  },
  'listener-not-rearmed': async (stage) => {
    await leave(stage);
    await stage.peer.dial();
    await delay(QUIET_MS);
    expect(stage.peer.names).toEqual([]);
  },
  'listener-rearmed-late': async (stage) => {
    const served = async () => {
      await leave(stage);
      await stage.peer.dial();
      await stage.peer.until(() => stage.peer.names.length > 0);
    };
    expect(await duration(served)).toBeGreaterThan(4500);
  },
  'path-recreated': async (stage) => {
    const { ino } = statSync(stage.twin.socketPath);
    await leave(stage);
    await expect.poll(() => statSync(stage.twin.socketPath, { throwIfNoEntry: false })?.ino ?? ino).not.toBe(ino);
    await stage.peer.dial();
    await stage.peer.until(() => stage.peer.names.length > 0);
  },
  'path-removed': async (stage) => {
    await leave(stage);
    await expect.poll(() => existsSync(stage.twin.socketPath)).toBe(false);
  },
  'redial-early': async ({ peer }) => {
    expect(await duration(() => redialled(peer))).toBeLessThan(4500);
  },
  'redial-late': async ({ peer }) => {
    expect(await duration(() => redialled(peer))).toBeGreaterThan(3500);
  },
  'redial-once': async ({ twin, peer }) => {
    await peer.unlisten();
    peer.leave();
    await expect.poll(() => twin.stderr).toMatch(/Unable to connect/);
    await peer.listen();
    await delay(1000 + QUIET_MS);
    expect(peer.connections).toBe(1);
  },
  'redial-busy': async ({ peer }) => {
    expect(await duration(() => redialled(peer))).toBeLessThan(9000);
  },
  'dial-without-reconnect': async ({ peer }) => {
    peer.leave();
    await peer.until(() => peer.connections === 2);
  },
  'reports-every-dial': async ({ twin, peer }) => {
    await peer.unlisten();
    peer.leave();
    await expect.poll(() => twin.stderr).toMatch(/Unable to connect[\s\S]*Unable to connect/);
  },
  'reports-once-for-ever': async ({ twin, peer }) => {
    for (const reports of [1, 1]) {
      await peer.unlisten();
      const { connections } = peer;
      peer.leave();
      await expect.poll(() => twin.stderr).toMatch(/Unable to connect/);
      await delay(1000 + QUIET_MS);
      expect(twin.stderr.match(/Unable to connect/g)).toHaveLength(reports);
      await peer.listen();
      await peer.until(() => peer.connections > connections);
    }
  },
  'enables-without-driver': async (stage) => {
    await restart(stage);
    await expect.poll(() => numbers(stage, 'SET_VRING_ENABLE')).toEqual([1]);
  },
  'enables-all-pairs': async (stage) => {
    expect(numbers(stage, 'SET_VRING_ENABLE')).toEqual([1, 1, 1, 1]);
  },
  'memory-leak': async (stage) => {
    const { pid } = stage.twin.process;
    const before = memoryOf(pid!)!.anonymous;
    for (let i = 0; i < 20; i++) await restart(stage);
    expect(memoryOf(pid!)!.anonymous - before).toBeGreaterThan(20 * (200 << 10));
  },
  'two-initial-connections': async ({ peer }) => {
    await expect.poll(() => peer.connections).toBe(2);
  },
  'wrong-handshake-order': async (stage) => {
    expect(stage.peer.names.indexOf('SET_OWNER')).toBeGreaterThan(stage.peer.names.indexOf('SET_PROTOCOL_FEATURES'));
    await restart(stage);
    expect(stage.peer.names.indexOf('SET_OWNER')).toBeLessThan(stage.peer.names.indexOf('SET_PROTOCOL_FEATURES'));
  },
  'stray-first-message': async (stage) => {
    expect(stage.peer.names[0]).toBe('GET_FEATURES');
    await restart(stage);
    expect(stage.peer.names.slice(0, 2)).toEqual(['SET_VRING_ENABLE', 'GET_FEATURES']);
  },
  'protocol-features-unoffered': async (stage) => {
    const acked = () => stage.peer.payloads('SET_PROTOCOL_FEATURES', 'u64').at(-1)!.value;
    const before = acked();
    await restart(stage);
    expect(acked()).toBe(before | bit(18));
  },
  'owner-twice': async (stage) => {
    await restart(stage);
    expect(stage.peer.names.filter((name) => name === 'SET_OWNER')).toHaveLength(2);
  },
  'owner-never': async (stage) => {
    await restart(stage);
    expect(stage.peer.names).not.toContain('SET_OWNER');
  },
  'need-reply-unasked': async ({ peer }) => {
    expect(peer.payloads('SET_PROTOCOL_FEATURES', 'u64')[0]!.value & bit(3)).toBe(0n);
    expect(peer.seen.filter(({ needReply }) => needReply).map(({ name }) => name)).toEqual(['SET_OWNER']);
  },
  'does-not-wait-for-reply': async (stage) => {
    await leave(stage);
    stage.peer.muteAt = 'SET_BACKEND_REQ_FD';
    await stage.peer.dial();
    await stage.peer.until(() => stage.peer.names.includes('SET_OWNER'));
  },
  'protocol-feature-forgotten': async ({ twin, peer }) => {
    const acked = () => peer.payloads('SET_PROTOCOL_FEATURES', 'u64')[0]!.value;
    const before = acked();
    await restart({ twin, peer });
    expect(acked()).toBe(before & ~bit(2));
  },
  'yank-ignored': async ({ twin }) => {
    await twin.qmp('yank', { instances: [{ type: 'chardev', id: 'c0' }] });
    expect(await chardevConnected(twin)).toBe(true);
  },
  'log-flooded': async (stage) => {
    await leave(stage);
    await expect.poll(() => stage.twin.stderr.split('\n').length).toBeGreaterThan(500);
  },
  'spins-while-away': async ({ twin, peer }) => {
    const { pid } = twin.process;
    const { ran } = mainThreadTimes(pid!)!;
    await leave({ twin, peer });
    await expect.poll(() => mainThreadTimes(pid!)!.ran - ran).toBeGreaterThan(QUIET_MS);
    await peer.dial();
    await expect.poll(() => chardevConnected(twin)).toBe(true);
  },
  'connected-twice': async (stage) => {
    await restart(stage);
    await expect.poll(() => announced(stage)).toEqual(['DISCONNECTED', 'CONNECTED', 'CONNECTED']);
  },
  'loss-not-announced': async (stage) => {
    await restart(stage);
    await expect.poll(() => announced(stage)).toEqual(['CONNECTED']);
  },
  'chardev-misnamed': async (stage) => {
    await restart(stage);
    await expect
      .poll(async () => (await stage.twin.monitor).aside.filter((line) => /_CONNECTED/.test(line)).join())
      .toMatch(/"chardev-id": ?"n0"/);
  },
  'filename-lost': async (stage) => {
    await leave(stage);
    expect(await stage.twin.qmp('query-chardev')).toMatchObject([{ filename: 'disconnected:socket' }]);
  },
  'chardev-lies-connected': async ({ twin, peer }) => {
    peer.leave();
    await expect.poll(() => announced({ twin })).toEqual(['DISCONNECTED']);
    await expect.poll(() => chardevConnected(twin)).toBe(true);
    expect(await twin.qmp('query-chardev')).toMatchObject([{ filename: `unix:${twin.socketPath},server=on` }]);
  },
};

const withDriver: Record<string, (stage: GuestStage) => Promise<void>> = {
  'status-untold': async (stage) => {
    await restart(stage);
    await expect.poll(() => stage.peer.names).toContain('SET_VRING_KICK');
    await stage.twin.qmp('query-status');
    expect(stage.peer.names).not.toContain('SET_STATUS');
  },
  'memory-unacknowledged': async (stage) => {
    const asked = () => stage.peer.seen.find(({ name }) => name === 'SET_MEM_TABLE')?.needReply;
    expect(asked()).toBe(true);
    await restart(stage);
    await expect.poll(asked).toBe(false);
  },
  'status-told-once': async ({ twin, peer }) => {
    await twin.qmp('stop');
    await twin.qmp('cont');
    const told = () => peer.payloads('SET_STATUS', 'u64').map(({ value }) => value);
    await expect.poll(() => peer.names.filter((name) => name === 'SET_VRING_KICK')).toHaveLength(4);
    expect(told()).toEqual([8n, 15n, 0n]);
  },
  'announced-without-address': async (stage) => {
    await stage.twin.qmp('announce-self');
    await restart(stage);
    await stage.twin.qmp('announce-self');
    await expect.poll(() => stage.peer.payloads('SEND_RARP', 'u64').map(({ value }) => value)).toEqual([0n]);
  },
  'address-lost': async (stage) => {
    expect(await stage.guest.read(0x100)).toBe(0x12005452);
    await leave(stage);
    expect(await stage.guest.read(0x100)).toBe(0);
  },
  'mtu-lost': async (stage) => {
    const mtu = async () => (await stage.guest.read(0x108)) >>> 16;
    expect(await mtu()).toBe(9000);
    await leave(stage);
    expect(await mtu()).toBe(0);
  },
  'mtu-not-told': async (stage) => {
    expect(stage.peer.names).toContain('NET_SET_MTU');
    await restart(stage);
    expect(stage.peer.names).toContain('SET_VRING_KICK');
    expect(stage.peer.names).not.toContain('NET_SET_MTU');
  },
  'used-index-forgotten': async (stage) => {
    await traffic(stage);
    expect(await stage.guest.usedIdx(1)).toBe(frames.length);
    await leave(stage);
    await stage.guest.transmit(1, frames.slice(0, 2));
    expect(await stage.guest.usedIdx(1)).toBe(2);
  },
  'given-up-not-disabled': async (stage) => {
    expect(await changePairs(stage, 4)).toEqual({ answer: 0, enabled: [1, 1, 1, 1, 1, 1, 1, 1] });
    await restart(stage);
    expect(await changePairs(stage, 1)).toEqual({ answer: 0, enabled: [1, 1] });
  },
  'taken-up-not-enabled': async (stage) => {
    expect(await changePairs(stage, 4)).toEqual({ answer: 0, enabled: [1, 1, 1, 1, 1, 1, 1, 1] });
    await restart(stage);
    expect(await changePairs(stage, 1)).toEqual({ answer: 0, enabled: [1, 1, 0, 0, 0, 0, 0, 0] });
    expect(await changePairs(stage, 4)).toEqual({ answer: 0, enabled: [] });
  },
  'change-refused': async (stage) => {
    expect(await changePairs(stage, 4)).toMatchObject({ answer: 0 });
    await restart(stage);
    expect(await changePairs(stage, 1)).toEqual({ answer: 1, enabled: [] });
  },
  'status-unnegotiated': async (stage) => {
    await restart(stage);
    const { names } = stage.peer;
    expect(stage.peer.payloads('SET_PROTOCOL_FEATURES', 'u64')[0]!.value & bit(16)).toBe(0n);
    expect(names[names.indexOf('SET_FEATURES') + 1]).toBe('SET_STATUS');
  },
  'rings-before-features': async (stage) => {
    await restart(stage);
    await expect.poll(() => stage.peer.names).toContain('SET_FEATURES');
    expect(stage.peer.names.indexOf('SET_VRING_KICK')).toBeLessThan(stage.peer.names.indexOf('SET_FEATURES'));
  },
  'rings-before-mem-table': async (stage) => {
    stage.peer.lazy = true;
    await restart(stage);
    await expect.poll(() => stage.peer.names).toContain('SET_MEM_TABLE');
    expect(stage.peer.names.indexOf('SET_VRING_KICK')).toBeLessThan(stage.peer.names.indexOf('SET_MEM_TABLE'));
  },
  'features-forgotten': async (stage) => {
    expect(features(stage)[0]).not.toBe(PLAIN);
    await restart(stage);
    expect(features(stage)).toEqual([PLAIN]);
  },
  'features-extra': async (stage) => {
    const [before] = features(stage);
    await restart(stage);
    expect(features(stage)).toEqual([before! | bit(26)]);
  },
  'features-second-pair-forgotten': async (stage) => {
    const before = features(stage);
    await restart(stage);
    expect(features(stage)).toEqual([before[0], PLAIN]);
  },
  'base-zero': async (stage) => {
    stage.peer.lazy = true;
    await traffic(stage);
    expect(numbers(stage, 'SET_VRING_BASE')).toEqual([0, 0]);
  },
  'base-off-by-one': async (stage) => {
    await traffic(stage);
    expect(numbers(stage, 'SET_VRING_BASE')).toEqual([0, 15]);
  },
  'stale-ring-address': async (stage) => {
    const before = stage.peer.payloads('SET_VRING_ADDR', 'vring-addr');
    await restart(stage);
    const after = stage.peer.payloads('SET_VRING_ADDR', 'vring-addr');
    expect(after.map(({ usedUserAddr }) => usedUserAddr - 0x10000n)).toEqual(before.map((ring) => ring.usedUserAddr));
  },
  'wrong-ring-size': async (stage) => {
    await restart(stage);
    expect(numbers(stage, 'SET_VRING_NUM')).toEqual([32, 32]);
  },
  'memory-table-short': async (stage) => {
    await restart(stage);
    expect(stage.peer.payloads('SET_MEM_TABLE', 'memory')[0]!.regions[1]!.size).toBe(0x3e00000n);
  },
  'no-kick-fd': async (stage) => {
    await restart(stage);
    await expect.poll(() => stage.peer.seen.filter(({ name }) => name === 'SET_VRING_KICK')).toHaveLength(2);
    expect(stage.peer.payloads('SET_VRING_KICK', 'vring-fd').map(({ noFd }) => noFd)).toEqual([true, true]);
    expect(stage.peer.seen.filter(({ name, fds }) => name === 'SET_VRING_KICK' && fds > 0)).toEqual([]);
  },
  'no-call-fd': async (stage) => {
    await restart(stage);
    await expect.poll(() => stage.peer.seen.filter(({ name }) => name === 'SET_VRING_CALL')).toHaveLength(4);
    expect(stage.peer.seen.filter(({ name, fds }) => name === 'SET_VRING_CALL' && fds > 0)).toEqual([]);
  },
  'call-ignored': async (stage) => {
    await again(stage);
    await stage.guest.interrupts();
    stage.peer.inject(0, frames[0]!);
    await delay(QUIET_MS);
    expect(await stage.guest.interrupts()).toBe(0);
  },
  'tx-muted': async (stage) => {
    expect([await stage.guest.usedFlags(0), await stage.guest.usedFlags(1)]).toEqual([0, 0]);
    await restart(stage);
    expect([await stage.guest.usedFlags(0), await stage.guest.usedFlags(1)]).toEqual([0, 1]);
  },
  'kick-not-forwarded': async (stage) => {
    await traffic(stage);
    await stage.guest.transmit(1, frames);
    await delay(QUIET_MS);
    expect(stage.peer.frames).toHaveLength(frames.length);
  },
  'stops-without-asking': async ({ twin, peer }) => {
    await twin.qmp('stop');
    expect(peer.names.at(-1)).toBe('SET_STATUS');
    expect(peer.names).not.toContain('GET_VRING_BASE');
  },
  'status-before-bases': async ({ twin, peer }) => {
    await twin.qmp('stop');
    expect(peer.names.slice(-3)).toEqual(['SET_STATUS', 'GET_VRING_BASE', 'GET_VRING_BASE']);
  },
  'status-not-reset': async ({ twin, peer }) => {
    await twin.qmp('stop');
    expect(peer.names.slice(-2)).toEqual(['GET_VRING_BASE', 'GET_VRING_BASE']);
  },
  'stops-twice': async ({ twin, peer }) => {
    await twin.qmp('stop');
    expect(peer.names.filter((name) => name === 'GET_VRING_BASE')).toHaveLength(4);
  },
  'link-not-lowered': async ({ twin, peer, guest }) => {
    await leave({ twin, peer });
    expect(await guest.linkUp()).toBe(true);
    expect(await guest.interrupts()).toBe(0);
  },
  'link-not-raised': async (stage) => {
    await restart(stage);
    expect(await stage.guest.linkUp()).toBe(false);
  },
  'link-flaps': async (stage) => {
    const before = await stage.guest.configGeneration();
    await restart(stage);
    // Down at the loss, then up, down and up.
    await expect.poll(() => stage.guest.configGeneration()).toBe(before + 4);
    expect(await stage.guest.linkUp()).toBe(true);
  },
  'queue-not-enabled': async (stage) => {
    await restart(stage);
    expect(stage.peer.payloads('SET_VRING_ENABLE', 'vring-state').map(({ index }) => index)).toEqual([0]);
  },
  'migration-never-ends': async (stage) => {
    const { pages, until, status } = await migrate(stage);
    await expect.poll(() => pages.size).toBe((64 << 20) / 4096);
    await delay(QUIET_MS);
    expect(await status()).toBe('active');
    await stage.twin.qmp('migrate_cancel').catch(() => {});
    await until('cancelling');
  },
  'paused-after-failure': async (stage) => {
    const { until } = await migrate(stage, 'breaks off');
    await until('failed');
    expect(await stage.twin.qmp('query-status')).toMatchObject({ running: false });
  },
  'log-base-twice': async (stage) => {
    const { until } = await migrate(stage);
    await until('pre-switchover');
    expect(stage.peer.names.filter((name) => name === 'SET_LOG_BASE')).toHaveLength(2);
  },
  'logging-left-on': async (stage) => {
    const [before] = features(stage);
    const { until } = await migrate(stage, 'breaks off');
    await until('failed');
    expect(features(stage)).toEqual([before, before! | LOG]);
  },
  'logging-not-acked': async (stage) => {
    const [before] = features(stage);
    const { until } = await migrate(stage);
    await until('pre-switchover');
    expect(stage.peer.names).toContain('SET_LOG_BASE');
    expect(features(stage)).toEqual([before, before]);
  },
  'dirty-not-sent-again': async (stage) => {
    const { pages, stream, until } = await migrate(stage);
    await until('pre-switchover');
    await (await stage.twin.qtest).ask(`write 0x${PAGE.toString(16)} 0x1 0x77`);
    await stage.twin.qmp('migrate-continue', { state: 'pre-switchover' });
    await until('completed');
    await expect.poll(() => stream.complete).toBe(true);
    expect(pages.get(PAGE)).toBe(1);
  },
  'indices-not-saved': async (stage) => {
    await traffic(stage);
    const { stream, until } = await migrate(stage);
    await until('pre-switchover');
    await stage.twin.qmp('migrate-continue', { state: 'pre-switchover' });
    await until('completed');
    await expect.poll(() => stream.complete).toBe(true);
    const { base, layout } = stage.guest.queues[1]!;
    const ring = { index: 1, size: QUEUE_SIZE, desc: BigInt(base + layout.desc) };
    expect(savedRings(stream.devices, [ring])?.get(1)).toBe(0);
  },
  'tx-corrupted': async (stage) => {
    const arrived = await again(stage);
    const expected = frames.map((frame, i) =>
      i % 8 === 7 ? Buffer.concat([frame.subarray(0, -1), Buffer.of(frame.at(-1)! ^ 1)]) : frame,
    );
    expect(arrived).toEqual(expected);
  },
  'tx-duplicated': async (stage) => {
    expect(await again(stage)).toEqual(frames.map((frame, i) => (i % 8 === 7 ? frames[i - 1] : frame)));
  },
  'tx-reordered': async (stage) => {
    const swapped = frames.map((frame, i) => (i % 8 === 7 ? frames[i - 1] : i % 8 === 6 ? frames[i + 1] : frame));
    expect(await again(stage)).toEqual(swapped);
  },
  'tx-lost': async (stage) => {
    expect(await again(stage)).toEqual(frames.map((frame, i) => (i % 8 === 7 ? Buffer.alloc(frame.length) : frame)));
  },
};

/** Seconds of the interval, where one is not enough to tell an early dial from one that the machine made late. */
const intervals: Record<string, number> = { 'dial-without-reconnect': 0, 'redial-early': 5, 'redial-busy': 10 };

const options = (name: string): TwinOptions => {
  const fault = twinFaults.find((candidate) => candidate.name === name)!;
  const role = fault.role === 'client' ? 'client' : 'server';
  const reconnect = intervals[name] ?? 1;
  const mtu = name.startsWith('mtu-') ? { mtu: 9000 } : {};
  return { role, fault: name, queuePairs: fault.queuePairs ?? 1, reconnect, ...mtu };
};

it.each(Object.keys(withoutDriver))('%s', async (name) => {
  await withoutDriver[name]!(await connected(options(name)));
});

it.each(Object.keys(withDriver))('%s', async (name) => {
  await withDriver[name]!(await withGuest(options(name)));
});

it('no-initial-retry', async () => {
  const { twin, peer } = await started({ ...options('no-initial-retry'), absent: true });
  await expect.poll(() => twin.stderr).toMatch(/Unable to connect/);
  await peer.listen();
  await delay(1000 + QUIET_MS);
  expect(peer.connections).toBe(0);
});

it.each([
  ['listens-with-interval', ',reconnect=1'],
  ['dials-with-wait', ',wait=off'],
  ['takes-unlisted-option', ',reconnect-ms=1000'],
])('%s', async (name, chardev) => {
  const { twin } = await connected({ ...options(name), chardev });
  expect(await twin.qmp('query-status')).toMatchObject({ status: 'running' });
  const sound = await started({ ...options(name), fault: '', chardev });
  expect(await sound.twin.exited).toEqual({ code: 1, signal: null });
  expect(sound.twin.stderr).toMatch(/'reconnect'|'wait'|'reconnect-ms'/);
});

it('waits-silently', async () => {
  const { twin } = await connected(options('waits-silently'));
  expect(twin.stderr).not.toMatch(/waiting/);
});

/** What the others above check. */
const alone = [
  'no-initial-retry',
  'listens-with-interval',
  'dials-with-wait',
  'takes-unlisted-option',
  'waits-silently',
];

it('is checked here for every fault, and tells truly which need a driver', () => {
  const names = (needsDriver: boolean) =>
    twinFaults.filter((fault) => fault.needsDriver === needsDriver).map(({ name }) => name);
  expect([...Object.keys(withoutDriver), ...alone].sort()).toEqual(names(false).sort());
  expect(Object.keys(withDriver).sort()).toEqual(names(true).sort());
});
