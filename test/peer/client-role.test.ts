import { existsSync, lstatSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { FdSocket } from '../../src/os/index.js';
import { ownFds } from '../os/helpers.js';
import { seen } from './rig.js';
import { dial, site } from './sites.js';

/** Long enough to see that nothing comes. */
const beat = (): Promise<string> => new Promise((resolve) => setTimeout(resolve, 100, 'nothing'));

async function connected() {
  const made = site('client');
  await made.peer.arrive();
  const frontEnd = await dial(made.path);
  await seen(made.recorder, 'session.open');
  return { ...made, frontEnd };
}

test('it listens and serves who dials', async () => {
  const { frontEnd, peer, recorder, path } = await connected();
  await frontEnd.handshake();
  expect(recorder.events.slice(0, 2)).toMatchObject([
    { type: 'peer.listen', path },
    { type: 'session.open', session: 1, by: 'accept', pid: process.pid },
  ]);
  expect(peer.session?.number).toBe(1);
});

describe('the path while it is away', () => {
  test('keep: the stale file refuses; on return it is replaced', async () => {
    const { path, peer, recorder, frontEnd } = await connected();
    const { ino } = lstatSync(path);
    await peer.leave('close', 'keep');
    expect(await frontEnd.ended).toEqual({ how: 'eof', partial: 0 });
    expect(lstatSync(path).ino).toBe(ino);
    await expect(FdSocket.dial(path)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    expect(recorder.latest('peer.unlisten')).toMatchObject({ path, removed: false });
    await peer.arrive();
    await (await dial(path)).askU64('GET_FEATURES');
    expect(peer.session?.number).toBe(2);
  });

  test('remove: it is not there', async () => {
    const { path, peer, recorder } = await connected();
    await peer.leave('close', 'remove');
    expect(existsSync(path)).toBe(false);
    await expect(FdSocket.dial(path)).rejects.toMatchObject({ code: 'ENOENT' });
    expect(recorder.latest('peer.unlisten')).toMatchObject({ removed: true });
    await peer.arrive();
    await (await dial(path)).askU64('GET_FEATURES');
  });

  test('listening: only the connection drops', async () => {
    const { path, peer, recorder, frontEnd } = await connected();
    await peer.leave('half-message', 'listening');
    expect(await frontEnd.ended).toEqual({ how: 'eof', partial: 10 });
    expect(recorder.latest('peer.unlisten')).toBeUndefined();
    await (await dial(path)).askU64('GET_FEATURES');
    await peer.arrive();
    expect(recorder.timeline().all('peer.listen')).toHaveLength(1);
    expect(peer.session?.number).toBe(2);
  });

  test('hung: who dials is let in and waits until the peer accepts', async () => {
    const { path, peer, recorder, frontEnd } = await connected();
    await peer.leave('close', 'hung');
    expect(await frontEnd.ended).toEqual({ how: 'eof', partial: 0 });
    const second = await dial(path);
    const features = second.askU64('GET_FEATURES');
    expect(await Promise.race([features, beat()])).toBe('nothing');
    expect(recorder.timeline().sessions).toHaveLength(1);
    await peer.arrive();
    expect(await features).toBeGreaterThan(0n);
    expect(recorder.events.slice(-4).filter(({ type }) => !type.startsWith('wire.'))).toMatchObject([
      { type: 'peer.accepts', path },
      { type: 'session.open', session: 2, by: 'accept' },
    ]);
    expect(recorder.latest('peer.hung')).toEqual(expect.not.objectContaining({ full: true }));
    expect(recorder.latest('peer.unlisten')).toBeUndefined();
  });

  test('full: nobody gets in until the peer accepts, and what filled the backlog is no session', async () => {
    const before = await ownFds();
    const { path, peer, recorder } = await connected();
    await peer.leave('close', 'full');
    expect(recorder.events.slice(-2)).toMatchObject([{ type: 'peer.hung', full: true }, { type: 'session.close' }]);
    await expect(FdSocket.dial(path)).rejects.toMatchObject({ code: 'EAGAIN' });
    await peer.arrive();
    await seen(recorder, 'peer.accepts');
    await (await dial(path)).askU64('GET_FEATURES');
    expect(peer.session?.number).toBe(2);
    await peer.leave('close', 'full');
    await peer.close();
    expect(existsSync(path)).toBe(false);
    // The two ends of the test itself, with the memory of their guests.
    expect(await ownFds()).toBe(before + 4);
  });

  test('before anybody came it can be hung or full from the start', async () => {
    const { path, peer, recorder } = site('client');
    await peer.leave('close', 'full');
    expect(recorder.events.map(({ type }) => type)).toEqual(['peer.listen', 'peer.hung']);
    await expect(FdSocket.dial(path)).rejects.toMatchObject({ code: 'EAGAIN' });
    await peer.arrive();
    await (await dial(path)).askU64('GET_FEATURES');
    expect(peer.session?.number).toBe(1);
  });

  test('hung and full need a connection, and a listener that accepts', async () => {
    const { path, peer, recorder } = site('client');
    await peer.arrive();
    await expect(peer.leave('close', 'full')).rejects.toMatchObject({ code: 'ERR_NO_SESSION' });
    await dial(path);
    await seen(recorder, 'session.open');
    await peer.leave('close', 'hung');
    await expect(peer.leave('close', 'hung')).rejects.toMatchObject({ code: 'ERR_NO_LISTENER' });
    expect(recorder.timeline().all('peer.hung')).toHaveLength(1);
  });

  test('the listener goes before the connection: a dial on the loss is refused', async () => {
    const { recorder, peer } = await connected();
    await peer.leave('close', 'keep');
    expect(recorder.events.slice(-2).map(({ type }) => type)).toEqual(['peer.unlisten', 'session.close']);
  });
});

describe('who dials', () => {
  test('again after QEMU itself hung up is served', async () => {
    const { path, peer, recorder, frontEnd } = await connected();
    frontEnd.socket.close();
    await seen(recorder, 'session.close');
    expect(peer.session).toBeUndefined();
    await (await dial(path)).askU64('GET_FEATURES');
    expect(recorder.latest('session.open')).toMatchObject({ session: 2, by: 'accept' });
    expect(recorder.latest('session.open')).not.toHaveProperty('extra');
    expect(recorder.latest('peer.dial')).toBeUndefined();
  });

  test('a second time is served beside the first and flagged; it takes over', async () => {
    const { path, peer, recorder, frontEnd } = await connected();
    const second = await dial(path);
    expect(await second.askU64('GET_STATUS')).toBe(0n);
    expect(recorder.latest('session.open')).toMatchObject({ session: 2, extra: true });
    expect(await frontEnd.askU64('GET_STATUS')).toBe(0n);
    frontEnd.socket.close();
    await seen(recorder, 'session.close');
    expect(peer.session?.number).toBe(2);
  });
});

describe('coming and going', () => {
  test('arriving, leaving and closing twice is once', async () => {
    const { path, peer, recorder } = site('client');
    const before = await ownFds();
    await Promise.all([peer.arrive(), peer.arrive()]);
    await peer.arrive();
    expect(recorder.timeline().all('peer.listen')).toHaveLength(1);
    await dial(path);
    await seen(recorder, 'session.open');
    await dial(path);
    await seen(recorder, 'session.open', ({ extra }) => extra === true);
    await peer.leave('close', 'remove');
    await peer.leave('close', 'remove');
    await Promise.all([peer.close(), peer.close()]);
    expect(recorder.timeline().all('peer.unlisten')).toHaveLength(1);
    expect(recorder.timeline().sessions.every(({ close }) => close)).toBe(true);
    expect(existsSync(path)).toBe(false);
    // The two ends of the test itself, with the memory of their guests.
    expect(await ownFds()).toBe(before + 4);
  });

  test('a leave that overtakes the arrival wins', async () => {
    const { path, peer, recorder } = site('client');
    await Promise.all([peer.arrive(), peer.close()]);
    expect(existsSync(path)).toBe(false);
    await expect(FdSocket.dial(path)).rejects.toMatchObject({ code: 'ENOENT' });
    expect(recorder.timeline().all('peer.unlisten').length).toBe(1);
  });

  test('what is no socket at the path is not replaced, and another try may succeed', async () => {
    const { path, peer } = site('client');
    writeFileSync(path, 'precious');
    await expect(peer.arrive()).rejects.toMatchObject({ code: 'EADDRINUSE' });
    expect(lstatSync(path).isFile()).toBe(true);
    await expect(peer.arrive()).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });
});
