import { closeSync, openSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { closeFd, EventFd, memfd, socketPair } from '../../src/os/index.js';
import { type FrontEndName, fdRange, frontEndRequests } from '../../src/wire/index.js';
import { ownFds } from '../os/helpers.js';
import { Guest } from './guest.js';
import { samples, withFds } from './messages.js';
import { makeRig, profile, rig } from './rig.js';

const SESSIONS = 1000;

/** Opens the poller's own descriptors, which stay. */
async function settled(): Promise<number> {
  const first = makeRig();
  await first.frontEnd.askU64('GET_FEATURES');
  first.close();
  return ownFds();
}

/** Sends a message of the table with `extra` more fds than it wants (negative: fewer). */
async function sendMiscounted(name: FrontEndName, extra: number): Promise<void> {
  const { frontEnd, closed, close } = makeRig();
  await frontEnd.handshake();
  const { payload, fds } = samples(frontEnd.guest)[name];
  const kinds = extra < 0 ? fds.slice(0, extra) : [...fds, ...Array.from({ length: extra }, () => 'eventfd' as const)];
  const ack = withFds(frontEnd.guest, kinds, (sent) => frontEnd.askU64(name, payload, { fds: sent, needReply: true }));
  expect(await ack).toBe(1n);
  expect(await closed()).toMatchObject({ by: 'peer', how: 'error', error: expect.stringContaining(name) });
  close();
}

describe('the number of descriptors with a message', () => {
  const guest = new Guest();
  const table = samples(guest);
  guest.close();
  const rules = frontEndRequests.map(({ name, request }) => ({ name, ...fdRange(request.fds, table[name].payload) }));

  test.each(rules)('$name: one more than $max is refused, and all are closed', async ({ name, max }) => {
    const before = await settled();
    await sendMiscounted(name, max + 1 - table[name].fds.length);
    expect(await ownFds()).toBe(before);
  });

  test.each(rules.filter(({ min }) => min > 0))('$name: one fewer than $min is refused', async ({ name }) => {
    const before = await settled();
    await sendMiscounted(name, -1);
    expect(await ownFds()).toBe(before);
  });

  test('a ring fd that is announced as absent must be', async () => {
    const { frontEnd, closed } = rig();
    const call = EventFd.create();
    frontEnd.send('SET_VRING_CALL', { kind: 'vring-fd', index: 0, noFd: true });
    frontEnd.send('SET_VRING_CALL', { kind: 'vring-fd', index: 0, noFd: true }, { fds: [call.fd] });
    call.close();
    expect(await closed()).toMatchObject({ how: 'error', error: expect.stringContaining('expected 0') });
  });

  test('a dirty log without its memory is refused', async () => {
    const { frontEnd, closed } = rig();
    frontEnd.send('SET_LOG_BASE', { kind: 'log', size: 4096n, offset: 0n });
    expect(await closed()).toMatchObject({ how: 'error', error: 'SET_LOG_BASE came without the log' });
  });
});

describe('descriptors of the wrong kind', () => {
  const kinds: Record<string, () => number[]> = {
    memfd: () => [memfd('wrong', 4096)],
    'regular file': () => [openSync('/etc/passwd', 'r')],
    'character device': () => [openSync('/dev/null', 'r+')],
    directory: () => [openSync('/', 'r')],
    'socket that hung up': () => {
      const [a, b] = socketPair();
      closeFd(b);
      return [a];
    },
    'live socket': () => socketPair(),
  };
  const messages = [
    'SET_VRING_KICK',
    'SET_VRING_CALL',
    'SET_VRING_ERR',
    'SET_BACKEND_REQ_FD',
    'SET_LOG_BASE',
    'SET_LOG_FD',
    'SET_INFLIGHT_FD',
    'ADD_MEM_REG',
  ] as const;
  const cases = messages.flatMap((name) => Object.keys(kinds).map((kind) => ({ name, kind })));

  test.each(cases)('$kind with $name: the tester lives, nothing leaks', async ({ name, kind }) => {
    const before = await settled();
    const { frontEnd, recorder, session, close } = makeRig();
    await frontEnd.handshake();
    const ring = frontEnd.setRing(0);
    const fds = kinds[kind]!();
    const { payload } = samples(frontEnd.guest)[name];
    frontEnd.send(name, payload, { fds: fds.slice(0, 1) });
    fds.forEach(closeSync);
    // Packets make the peer use what it was given.
    ring.post(4);
    frontEnd.state('SET_VRING_ENABLE', 0, 1);
    frontEnd.send('GET_FEATURES');
    await Promise.race([frontEnd.next(), frontEnd.ended]);
    if (!session.open) expect(recorder.latest('session.close')).toMatchObject({ by: 'peer', how: 'error' });
    expect(recorder.latest('tester.trouble')).toBeUndefined();
    close();
    expect(await ownFds()).toBe(before);
  });

  test('a kick that hangs up is bad input, not the end of the connection', async () => {
    const { frontEnd, closed } = rig();
    await frontEnd.handshake();
    frontEnd.setRing(0);
    const [kick, other] = socketPair();
    frontEnd.send('SET_VRING_KICK', { kind: 'vring-fd', index: 0, noFd: false }, { fds: [kick] });
    await frontEnd.askU64('GET_FEATURES');
    [kick, other].forEach(closeFd);
    expect(await closed()).toMatchObject({
      by: 'peer',
      how: 'error',
      error: expect.stringContaining('kick of ring 0'),
    });
  });

  test('a ring fd for a ring that does not exist is closed', async () => {
    const before = await settled();
    const { frontEnd, closed, close } = makeRig({ profile: { ...profile, queuePairs: 1 } });
    const event = EventFd.create();
    frontEnd.send('SET_VRING_CALL', { kind: 'vring-fd', index: 1, noFd: false }, { fds: [event.fd] });
    frontEnd.send('SET_VRING_CALL', { kind: 'vring-fd', index: 2, noFd: false }, { fds: [event.fd] });
    event.close();
    expect(await closed()).toMatchObject({ how: 'error', error: expect.stringContaining('ring 2,') });
    close();
    expect(await ownFds()).toBe(before);
  });
});

test('ring fds and the back-end channel that are set again replace the old ones', async () => {
  const made = makeRig();
  await made.frontEnd.handshake();
  made.frontEnd.startRings();
  const again = async () => {
    const { frontEnd } = made;
    for (const name of ['SET_VRING_KICK', 'SET_VRING_CALL', 'SET_VRING_ERR', 'SET_BACKEND_REQ_FD'] as const) {
      const { payload, fds } = samples(frontEnd.guest)[name];
      withFds(frontEnd.guest, fds, (sent) => frontEnd.send(name, payload, { fds: sent }));
    }
    frontEnd.memTable();
    await frontEnd.askU64('GET_FEATURES');
    return ownFds();
  };
  const once = await again();
  for (let i = 0; i < 5; i++) expect(await again()).toBe(once);
  made.close();
});

test('descriptors of a message that never becomes whole are closed', async () => {
  const before = await settled();
  const { frontEnd, session, closed, close } = makeRig();
  const event = EventFd.create();
  const header = Buffer.alloc(12);
  [12, 1, 8].forEach((value, i) => {
    header.writeUInt32LE(value, 4 * i);
  });
  frontEnd.socket.send(header, [event.fd]);
  frontEnd.socket.send(Buffer.alloc(3), [event.fd, event.fd]);
  event.close();
  frontEnd.socket.close();
  expect(await closed()).toMatchObject({ by: 'front-end', how: 'eof' });
  expect(session.open).toBe(false);
  frontEnd.guest.close();
  close();
  expect(await ownFds()).toBe(before);
});

test(`${SESSIONS} sessions that set everything leave no descriptor behind`, async () => {
  const before = await settled();
  for (let number = 1; number <= SESSIONS; number++) {
    const { frontEnd, session, closed, close } = makeRig({ number });
    await frontEnd.handshake();
    const [rx] = frontEnd.startRings({}, number % 4);
    rx.post(2);
    for (const name of ['SET_BACKEND_REQ_FD', 'SET_LOG_BASE', 'SET_VRING_ERR', 'GET_INFLIGHT_FD'] as const) {
      const { payload, fds } = samples(frontEnd.guest)[name];
      withFds(frontEnd.guest, fds, (sent) => frontEnd.send(name, payload, { fds: sent }));
    }
    for (let reply = 0; reply < 2; reply++) (await frontEnd.next()).fds.forEach(closeFd);
    switch (number % 4) {
      case 0:
        session.leave('close');
        break;
      case 1:
        session.stopReading();
        frontEnd.send('SET_OWNER');
        session.leave('abort');
        break;
      case 2:
        session.leave('half-message');
        break;
      default:
        frontEnd.close();
    }
    await closed();
    close();
  }
  expect(await ownFds()).toBe(before);
});
