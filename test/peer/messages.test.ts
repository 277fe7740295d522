import { describe, expect, test } from 'vitest';
import { closeFd } from '../../src/os/index.js';
import { profiles } from '../../src/peer/index.js';
import { FLAG_REPLY, type FrontEndName, frontEndRequests, VERSION } from '../../src/wire/index.js';
import { samples, UNHANDLED, withFds } from './messages.js';
import { profile, type Rig, type RigOptions, rig } from './rig.js';

/** A session on which ring 0 may be kicked. */
async function prepared(options: RigOptions = {}): Promise<Rig> {
  const made = rig(options);
  await made.frontEnd.handshake();
  made.frontEnd.setRing(0);
  return made;
}

const names = frontEndRequests.map(({ name }) => name);

/** Messages that have a reply of their own here, NEED_REPLY or not. */
const ANSWERED: ReadonlySet<string> = new Set([
  'GET_FEATURES',
  'GET_PROTOCOL_FEATURES',
  'GET_QUEUE_NUM',
  'GET_MAX_MEM_SLOTS',
  'GET_VRING_BASE',
  'GET_STATUS',
  'GET_INFLIGHT_FD',
  'SET_LOG_BASE',
] satisfies FrontEndName[]);

describe.each(Object.values(profiles))('as $name', (profile) => {
  test('answers the questions of the handshake with its data', async () => {
    const { frontEnd } = rig({ profile });
    expect(await frontEnd.askU64('GET_FEATURES')).toBe(profile.features);
    expect(await frontEnd.askU64('GET_PROTOCOL_FEATURES')).toBe(profile.protocolFeatures);
    expect(await frontEnd.askU64('GET_QUEUE_NUM')).toBe(BigInt(profile.queuePairs));
    expect(await frontEnd.askU64('GET_MAX_MEM_SLOTS')).toBe(BigInt(profile.memSlots));
  });

  test('takes every message of the table without NEED_REPLY and stays', async () => {
    const { frontEnd, recorder, session } = await prepared({ profile: { ...profile, memSlots: 8 } });
    const table = samples(frontEnd.guest);
    for (const name of names) {
      withFds(frontEnd.guest, table[name].fds, (fds) => frontEnd.send(name, table[name].payload, { fds }));
      if (!ANSWERED.has(name)) continue;
      const reply = await frontEnd.next();
      expect(reply).toMatchObject({ request: frontEndRequests.find((spec) => spec.name === name)!.id });
      reply.fds.forEach(closeFd);
    }
    expect(await frontEnd.askU64('GET_FEATURES')).toBe(profile.features);
    expect(session.open).toBe(true);
    const received = recorder.timeline().all('wire.recv');
    expect(received.map(({ index }) => index)).toEqual(received.map((_, i) => i));
  });
});

test.each(names)('NEED_REPLY on %s is answered once', async (name) => {
  const { frontEnd, recorder, session } = await prepared();
  const { payload, fds: kinds } = samples(frontEnd.guest)[name];
  const reply = await withFds(frontEnd.guest, kinds, (fds) => frontEnd.ask(name, payload, { fds, needReply: true }));
  reply.fds.forEach(closeFd);
  expect(reply.flags).toBe(VERSION | FLAG_REPLY);
  if (!ANSWERED.has(name)) expect(reply.payload).toEqual({ kind: 'u64', value: UNHANDLED.has(name) ? 1n : 0n });
  // The very next reply belongs to the next question.
  expect(await frontEnd.askU64('GET_FEATURES')).toBe(profile.features);
  expect(session.open).toBe(true);
  expect(recorder.timeline().last('wire.send', (event) => event.name === name)?.channel).toBe('reply');
});

test('NEED_REPLY on an unknown message is answered with failure; without it the message is ignored', async () => {
  const { frontEnd, recorder, session } = rig();
  frontEnd.sendRaw(99, Buffer.from('hello'));
  frontEnd.sendRaw(77, Buffer.alloc(8), { needReply: true });
  const reply = await frontEnd.next();
  expect(reply).toMatchObject({ request: 77, flags: VERSION | FLAG_REPLY });
  expect(reply.payload.readBigUInt64LE()).toBe(1n);
  expect(session.open).toBe(true);
  expect(recorder.timeline().all('wire.recv')).toMatchObject([
    { name: '#99', body: { bytes: Buffer.from('hello').toString('hex') } },
    { name: '#77' },
  ]);
});

test('NEED_REPLY on a message that is refused is answered with failure before the session ends', async () => {
  const { frontEnd, closed } = rig();
  const reply = await frontEnd.askU64('SET_FEATURES', { kind: 'u64', value: 1n << 63n }, { needReply: true });
  expect(reply).toBe(1n);
  expect(await closed()).toMatchObject({ by: 'peer', how: 'error' });
  expect(await frontEnd.ended).toEqual({ how: 'eof', partial: 0 });
});

test('replies carry the events and the state that messages set', async () => {
  const { frontEnd, session } = rig();
  frontEnd.send('NET_SET_MTU', { kind: 'u64', value: 9000n });
  frontEnd.send('SET_STATUS', { kind: 'u64', value: 0x0fn });
  expect(await frontEnd.askU64('GET_STATUS')).toBe(0x0fn);
  expect(session).toMatchObject({ mtu: 9000, status: 0x0f, owned: false });
  frontEnd.send('SET_OWNER');
  await frontEnd.askU64('GET_STATUS');
  expect(session.owned).toBe(true);
  frontEnd.send('RESET_OWNER');
  frontEnd.send('RESET_DEVICE');
  expect(await frontEnd.askU64('GET_STATUS')).toBe(0n);
  expect(session.owned).toBe(false);
});

test('the inflight buffer is a memfd of the announced size, and can be given back', async () => {
  const { frontEnd, session } = rig();
  const payload = { kind: 'inflight', mmapSize: 0n, mmapOffset: 0n, numQueues: 4, queueSize: 1024 } as const;
  const reply = await frontEnd.ask('GET_INFLIGHT_FD', payload);
  expect(reply.payload).toMatchObject({ kind: 'inflight', mmapOffset: 0n, numQueues: 4, queueSize: 1024 });
  expect(reply.fds).toHaveLength(1);
  if (reply.payload.kind !== 'inflight') throw new Error('kind');
  expect(reply.payload.mmapSize % 4096n).toBe(0n);
  expect(reply.payload.mmapSize).toBeGreaterThanOrEqual(4n * 16n * 1024n);
  expect(await frontEnd.askU64('SET_INFLIGHT_FD', reply.payload, { fds: reply.fds, needReply: true })).toBe(0n);
  reply.fds.forEach(closeFd);
  expect(session.open).toBe(true);
});

test('memory slots: regions are added up to the limit and removed by their three numbers', async () => {
  const { frontEnd, session, closed } = rig({ profile: { ...profile, memSlots: 2 } });
  const { regions, fd } = frontEnd.guest;
  const [low, high] = regions as [(typeof regions)[0], (typeof regions)[0]];
  const slot = (name: 'ADD_MEM_REG' | 'REM_MEM_REG', region: typeof low) =>
    frontEnd.askU64(
      name,
      { kind: 'memory-region', region },
      {
        fds: name === 'ADD_MEM_REG' ? [fd] : [],
        needReply: true,
      },
    );
  expect(await slot('ADD_MEM_REG', low)).toBe(0n);
  expect(await slot('ADD_MEM_REG', high)).toBe(0n);
  expect(session.memory.size).toBe(2);
  expect(await slot('REM_MEM_REG', low)).toBe(0n);
  expect(await slot('ADD_MEM_REG', low)).toBe(0n);
  expect(await slot('ADD_MEM_REG', { ...low, guestAddr: 1n << 40n })).toBe(1n);
  expect(await closed()).toMatchObject({ how: 'error', error: expect.stringContaining('2 slots') });
});
