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
