import { existsSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { FdSocket, listenUnix } from '../../src/os/index.js';
import { directory, ownFds, readable, Server } from './helpers.js';

const code = (name: string) => expect.objectContaining({ name: 'OsError', code: name });

test('the path stays when the listener is closed, until somebody unlinks it', async () => {
  const path = join(directory(), 's');
  const server = await Server.listen(path);
  const { ino } = statSync(path);
  await server.close();
  expect(statSync(path).ino).toBe(ino);
  await expect(FdSocket.dial(path)).rejects.toThrow(code('ECONNREFUSED'));
  unlinkSync(path);
  await expect(FdSocket.dial(path)).rejects.toThrow(code('ENOENT'));
});

test('established connections outlive the listener', async () => {
  const path = join(directory(), 's');
  const server = await Server.listen(path);
  const [near, far] = await Promise.all([FdSocket.dial(path), server.accept()]);
  await server.close();
  near.send(Buffer.from('alive'));
  await readable(far);
  expect(far.receive(10)).toMatchObject({ bytes: Buffer.from('alive') });
  near.close();
  far.close();
});

test('a path that is taken is an error, leaks nothing, and can be replaced on demand', async () => {
  const path = join(directory(), 's');
  const first = await Server.listen(path);
  const { ino } = statSync(path);
  const before = await ownFds();
  await expect(listenUnix(path, () => {})).rejects.toThrow(code('EADDRINUSE'));
  expect(await ownFds()).toBe(before);
  await first.close();
  await expect(listenUnix(path, () => {})).rejects.toThrow(code('EADDRINUSE'));
  expect(statSync(path).ino).toBe(ino);

  const second = await Server.listen(path, { replace: true });
  const [near, far] = await Promise.all([FdSocket.dial(path), second.accept()]);
  near.close();
  far.close();
});

test('closing an old listener leaves the socket of its successor alone', async () => {
  const path = join(directory(), 's');
  const old = await Server.listen(path);
  const successor = await Server.listen(path, { replace: true });
  await old.close();
  await old.close();
  expect(existsSync(path)).toBe(true);
  const [near, far] = await Promise.all([FdSocket.dial(path), successor.accept()]);
  near.close();
  far.close();
});

test('only sockets are replaced', async () => {
  const path = join(directory(), 'file');
  writeFileSync(path, 'precious');
  await expect(listenUnix(path, () => {}, { replace: true })).rejects.toThrow(code('EADDRINUSE'));
  expect(existsSync(path)).toBe(true);
});

test('says what is wrong with a path', async () => {
  const dir = directory();
  await expect(listenUnix(join(dir, 'no', 's'), () => {})).rejects.toThrow(code('ENOENT'));
  await expect(listenUnix(join(dir, 'x'.repeat(108)), () => {})).rejects.toThrow(code('ENAMETOOLONG'));
});

test('a listener that is paused takes nothing, has no more room than it is given, and goes on in order', async () => {
  const path = join(directory(), 's');
  const server = await Server.listen(path, { backlog: 5 });
  server.listener.pause(1);
  const { ino } = statSync(path);
  const waiting = [await FdSocket.dial(path), await FdSocket.dial(path)];
  await expect(FdSocket.dial(path)).rejects.toThrow(code('EAGAIN'));
  expect(statSync(path).ino).toBe(ino);
  for (const [i, socket] of waiting.entries()) socket.send(Buffer.from([i]));
  server.listener.resume();
  server.listener.resume();
  for (const [i, near] of waiting.entries()) {
    const far = await server.accept();
    await readable(far);
    expect(far.receive(10)).toMatchObject({ bytes: Buffer.from([i]) });
    near.close();
    far.close();
  }
  const [near, far] = await Promise.all([FdSocket.dial(path), server.accept()]);
  near.close();
  far.close();
});

test('closing a listener that is paused ends who waits, leaks nothing, and is for good', async () => {
  const path = join(directory(), 's');
  const before = await ownFds();
  const server = await Server.listen(path);
  server.listener.pause(1);
  const near = await FdSocket.dial(path);
  await server.close();
  await readable(near);
  near.close();
  await expect(FdSocket.dial(path)).rejects.toThrow(code('ECONNREFUSED'));
  expect(() => server.listener.pause(1)).toThrow(code('EBADF'));
  expect(() => server.listener.resume()).toThrow(code('EBADF'));
  await server.close();
  expect(await ownFds()).toBe(before);
});
