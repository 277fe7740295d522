import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  closeFd,
  countFds,
  countThreads,
  dupFd,
  EventFd,
  eventFdId,
  FdSocket,
  mainThreadTimes,
  parseUnixSockets,
  processCmdline,
  unixSockets,
} from '../../src/os/index.js';
import { directory, Server } from './helpers.js';

test('counts our own descriptors', () => {
  const before = countFds(process.pid)!;
  const fd = openSync('/dev/null', 'r');
  expect(countFds(process.pid)).toBe(before + 1);
  closeSync(fd);
  expect(countFds(process.pid)).toBe(before);
});

test('knows an eventfd by its number, whatever descriptor it comes as', () => {
  const [one, other] = [EventFd.create(), EventFd.create()];
  const copy = dupFd(one.fd);
  expect(eventFdId(one.fd)).toBeTypeOf('number');
  expect(eventFdId(copy)).toBe(eventFdId(one.fd));
  expect(eventFdId(other.fd)).not.toBe(eventFdId(one.fd));
  const fd = openSync('/dev/null', 'r');
  expect(eventFdId(fd)).toBeUndefined();
  closeSync(fd);
  closeFd(copy);
  one.close();
  other.close();
});

test('tells of another process what there is to tell, and nothing once it is gone', async () => {
  const plain = spawn('sleep', ['60'], { stdio: 'ignore' });
  const child = spawn('sleep', ['60'], { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
  const pid = child.pid!;
  // Both inherit what our own parent left open.
  await expect.poll(() => countFds(pid)! - countFds(plain.pid!)!).toBe(2);
  expect(countThreads(pid)).toBe(1);
  await expect.poll(() => processCmdline(pid)).toEqual(['sleep', '60']);
  expect(mainThreadTimes(pid)!.ran).toBeGreaterThan(0);
  expect(mainThreadTimes(pid)!.delay).toBeGreaterThanOrEqual(0);
  plain.kill('SIGKILL');
  child.kill('SIGKILL');
  await once(child, 'exit');
  const afterwards = [countFds(pid), countThreads(pid), processCmdline(pid), mainThreadTimes(pid)];
  expect(afterwards).toEqual([undefined, undefined, undefined, undefined]);
});

test('the times of the main thread only grow', () => {
  const first = mainThreadTimes(process.pid)!;
  for (const begin = process.cpuUsage().user; process.cpuUsage().user < begin + 20_000; );
  const second = mainThreadTimes(process.pid)!;
  expect(second.ran).toBeGreaterThan(first.ran);
  expect(second.delay).toBeGreaterThanOrEqual(first.delay);
});

test('finds listening, accepted and waiting sockets', async () => {
  const path = join(directory(), 'with blank');
  const server = await Server.listen(path);
  const [near, far] = await Promise.all([FdSocket.dial(path), server.accept()]);
  const here = unixSockets(path);
  expect(here.map(({ state }) => state).sort()).toEqual(['connected', 'listening']);
  expect(here.map(({ inode }) => inode)).toContain(statSync(`/proc/self/fd/${far.fd}`).ino);
  near.close();
  far.close();
});

test('finds in /proc/net/unix what is bound to a path, and nothing of a path that only ends like it', () => {
  const text = `Num       RefCount Protocol Flags    Type St Inode Path
ffff9a0d4a3e1000: 00000002 00000000 00010000 0001 01 21853 /run/a b.sock
0000000000000000: 00000003 00000000 00000000 0001 03 21854
0000000000000000: 00000002 00000000 00000000 0001 02     0 /run/a b.sock
0000000000000000: 00000002 00000000 00000000 0002 01   311 @abstract
0000000000000000: 00000003 00000000 00000000 0001 03 21855 b.sock
0000000000000000: 00000003 00000000 00000000 0001 03 21856 /run/a b.sock
0000000000000000: 00000002 00000000 00000000 0001 04 21900 /run/a b.sock
0000000000000000: 00000003 00000000 00000000 0001 03 21857 /run/a b.sock.2
`;
  expect(parseUnixSockets(text, '/run/a b.sock')).toEqual([
    { inode: 21853, state: 'listening' },
    { inode: 0, state: 'connecting' },
    { inode: 21856, state: 'connected' },
    { inode: 21900, state: 'disconnecting' },
  ]);
  expect(parseUnixSockets(text, 'b.sock')).toEqual([{ inode: 21855, state: 'connected' }]);
  expect(parseUnixSockets(text, '@abstract')).toEqual([{ inode: 311, state: 'unconnected' }]);
  expect(parseUnixSockets(text, '/run/none')).toEqual([]);
});
