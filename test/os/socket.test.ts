import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fstatSync, readFileSync } from 'node:fs';
import { createServer, Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { closeFd, FdSocket, memfd, type Received, socketPair } from '../../src/os/index.js';
import { connectedPair, directory, nextBatch, ownFds, readable, Server } from './helpers.js';

type Chunk = Exclude<Received, string>;

function chunk(received: Received): Chunk {
  if (typeof received === 'string') throw new Error(`expected bytes, got ${received}`);
  return received;
}

async function dialled(): Promise<[FdSocket, FdSocket]> {
  const path = join(directory(), 's');
  const server = await Server.listen(path);
  const [near, far] = await Promise.all([FdSocket.dial(path), server.accept()]);
  onTestFinished(() => {
    near.close();
    far.close();
  });
  return [near, far];
}

const code = (name: string) => expect.objectContaining({ name: 'OsError', code: name });

describe('messages', () => {
  test('bytes and descriptors pass both ways between dialled and accepted sockets', async () => {
    const [near, far] = await dialled();
    const memory = memfd('passed', 8192);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.send(Buffer.from('hello'), [memory, memory]);
      await readable(to);
      const { bytes, fds } = chunk(to.receive(100));
      expect(bytes.toString()).toBe('hello');
      expect(fds).toHaveLength(2);
      for (const fd of fds) {
        expect(fstatSync(fd).ino).toBe(fstatSync(memory).ino);
        expect(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8')).toMatch(/^flags:\s+02\d+$/m); // O_CLOEXEC
        closeFd(fd);
      }
      expect(to.receive(100)).toBe('again');
    }
    closeFd(memory);
  });

  test('reading up to the end of a message keeps descriptors with their message', () => {
    const [a, b] = connectedPair();
    const memory = memfd('x', 4096);
    a.send(Buffer.from('plain'));
    a.send(Buffer.from('with'), [memory]);
    closeFd(memory);
    expect(chunk(b.receive(5))).toEqual({ bytes: Buffer.from('plain'), fds: [] });
    const second = chunk(b.receive(4));
    expect(second.bytes.toString()).toBe('with');
    expect(second.fds).toHaveLength(1);
    second.fds.forEach(closeFd);
  });

  test('looking ahead takes neither bytes nor descriptors', () => {
    const [a, b] = connectedPair();
    const memory = memfd('x', 4096);
    const before = ownFds();
    expect(b.peek(4)).toBe('again');
    a.send(Buffer.from('with'), [memory]);
    for (let i = 0; i < 3; i++) expect(b.peek(2)).toEqual(Buffer.from('wi'));
    expect(ownFds()).toEqual(before);
    const { bytes, fds } = chunk(b.receive(4));
    expect(bytes.toString()).toBe('with');
    expect(fds).toHaveLength(1);
    for (const fd of [...fds, memory]) closeFd(fd);
  });

  test('looking ahead past the end, and at a reset', () => {
    const [a, b] = connectedPair();
    a.close();
    expect(b.peek(4)).toBe('eof');
    const [c, d] = connectedPair();
    d.send(Buffer.from('unread'));
    c.close();
    expect(() => d.peek(4)).toThrow(code('ECONNRESET'));
  });

  test('hanging up ends the connection without a reset, whatever was unread, and leaks no descriptor', () => {
    const [a, b] = connectedPair();
    const memory = memfd('x', 4096);
    for (let i = 0; i < 5; i++) a.send(Buffer.alloc(3000), [memory]);
    closeFd(memory);
    const before = ownFds();
    b.hangUp();
    expect(ownFds()).toEqual(before);
    b.close();
    expect(a.receive(1)).toBe('eof');
  });

  test('hanging up on a connection that was reset', () => {
    const [a, b] = connectedPair();
    b.send(Buffer.from('unread'));
    a.close();
    expect(() => b.hangUp()).not.toThrow();
  });

  test('what the socket does not take at once follows in order, with the descriptors', async () => {
    const [a, b] = connectedPair();
    const before = await ownFds();
    const big = Buffer.alloc(4 << 20, 'x');
    const memory = memfd('late', 4096);
    const inode = fstatSync(memory).ino;
    a.send(big);
    a.send(Buffer.from('tail'), [memory]);
    a.send(Buffer.from('end'));
    closeFd(memory); // the caller's own, as soon as send returned
    const parts: Buffer[] = [];
    const fds: number[] = [];
    const total = big.length + 7;
    await new Promise<void>((resolve, reject) => {
      let length = 0;
      b.onError(reject);
      b.onReadable(() => {
        const received = chunk(b.receive(65536));
        parts.push(received.bytes);
        fds.push(...received.fds);
        length += received.bytes.length;
        if (length === total) resolve();
      });
    });
    b.pauseReading();
    expect(Buffer.concat(parts).equals(Buffer.concat([big, Buffer.from('tailend')]))).toBe(true);
    expect(fds.map((fd) => fstatSync(fd).ino)).toEqual([inode]);
    fds.forEach(closeFd);
    expect(await ownFds()).toBe(before);
  });

  test('close drops what was not sent, and its descriptors', async () => {
    const before = await ownFds();
    const [x, y] = socketPair();
    const socket = FdSocket.fromFd(x);
    const memory = memfd('x', 4096);
    socket.send(Buffer.alloc(4 << 20));
    socket.send(Buffer.from('never'), [memory, memory, memory]);
    closeFd(memory);
    socket.close();
    closeFd(y);
    expect(await ownFds()).toBe(before);
  });

  test('refuses what cannot be sent', () => {
    const [a] = connectedPair();
    expect(() => a.send(Buffer.alloc(0), [0])).toThrow(code('EINVAL'));
    expect(() => a.send(Buffer.alloc(1), new Array(254).fill(0))).toThrow(code('EINVAL'));
    expect(() => a.send(Buffer.alloc(1), [-1])).toThrow(code('EBADF'));
    expect(() => a.receive(0)).toThrow(code('EINVAL'));
  });
});

describe('the end of a connection', () => {
  test('an orderly close is an end, after what was sent before', async () => {
    const [a, b] = connectedPair();
    a.send(Buffer.from('last'));
    a.close();
    await readable(b);
    expect(chunk(b.receive(10)).bytes.toString()).toBe('last');
    expect(b.receive(10)).toBe('eof');
  });

  test('a close with bytes unread is a reset at the other end', async () => {
    const [near, far] = await dialled();
    far.send(Buffer.from('never read'));
    expect(near.unread()).toBe(10);
    near.close();
    await readable(far);
    expect(() => far.receive(10)).toThrow(code('ECONNRESET'));
  });

  test('a send to a closed end is told later, and does not throw', async () => {
    const [a, b] = connectedPair();
    b.close();
    const errors: unknown[] = [];
    a.onError((error) => errors.push(error));
    a.send(Buffer.from('x'));
    expect(errors).toEqual([]);
    await expect.poll(() => errors).toEqual([code('EPIPE')]);
  });

  test('so is one that was waiting for room', async () => {
    const [a, b] = connectedPair();
    const failed = new Promise((resolve) => a.onError(resolve));
    a.send(Buffer.alloc(4 << 20));
    b.close();
    expect(await failed).toMatchObject({ name: 'OsError' });
  });

  test('nothing is told once we have closed', async () => {
    const [a, b] = connectedPair();
    b.close();
    a.onError(() => expect.unreachable());
    a.send(Buffer.from('x'));
    a.close();
    a.close();
    expect(a.closed).toBe(true);
    expect(a.fd).toBe(-1);
    expect(() => a.receive(1)).toThrow(code('EBADF'));
    expect(() => a.send(Buffer.from('x'))).toThrow(code('EBADF'));
    await ownFds();
  });

  test('paused reading tells nothing, the next onReadable does', async () => {
    const [a, b] = connectedPair();
    let calls = 0;
    b.onReadable(() => {
      calls++;
    });
    b.pauseReading();
    a.close();
    await nextBatch();
    expect(calls).toBe(0);
    await readable(b);
    expect(b.receive(1)).toBe('eof');
  });

  test('a throw in the callback goes to onError, where the socket can be closed', async () => {
    const [a, b] = connectedPair();
    const told = new Promise((resolve) => {
      b.onError((error) => {
        b.close();
        resolve(error);
      });
    });
    b.onReadable(() => {
      throw new RangeError('bug');
    });
    a.send(Buffer.from('x'));
    expect(await told).toBeInstanceOf(RangeError);
  });
});

describe('dial', () => {
  test('rejects with the reason, and leaks nothing', async () => {
    const dir = directory();
    const stale = join(dir, 'stale');
    const server = await Server.listen(stale);
    await server.close();
    const before = await ownFds();
    await expect(FdSocket.dial(join(dir, 'nothing'))).rejects.toThrow(code('ENOENT'));
    await expect(FdSocket.dial(stale)).rejects.toThrow(code('ECONNREFUSED'));
    await expect(FdSocket.dial(join(dir, 'x'.repeat(108)))).rejects.toThrow(code('ENAMETOOLONG'));
    expect(await ownFds()).toBe(before);
  });

  test('rejects with EAGAIN when the backlog is full', async () => {
    const path = join(directory(), 's');
    const server = await Server.listen(path, { backlog: 1 });
    // All of them call connect(2) before the event loop can accept one.
    const results = await Promise.allSettled(Array.from({ length: 5 }, () => FdSocket.dial(path)));
    const reasons = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
    expect(reasons.length).toBeGreaterThan(0);
    for (const reason of reasons) expect(reason).toEqual(code('EAGAIN'));
    for (const result of results) if (result.status === 'fulfilled') result.value.close();
    await server.close();
  });

  test('is cancelled by a signal', async () => {
    const path = join(directory(), 's');
    const server = await Server.listen(path);
    const before = await ownFds();
    const reason = new Error('enough');
    await expect(FdSocket.dial(path, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const abort = new AbortController();
    const dialling = FdSocket.dial(path, { signal: abort.signal });
    abort.abort(reason);
    await expect(dialling).rejects.toBe(reason);
    (await server.accept()).close(); // the kernel had connected it
    expect(await ownFds()).toBe(before);
  });
});

describe('adopt', () => {
  test('knows the process at the other end', async () => {
    const path = join(directory(), 's');
    const server = await Server.listen(path);
    const child = spawn(process.execPath, ['-e', `require('node:net').connect(${JSON.stringify(path)})`]);
    const socket = await server.accept();
    expect(socket.peerPid).toBe(child.pid);
    socket.close();
    await once(child, 'exit');
    const dialled = await FdSocket.dial(path);
    expect(dialled.peerPid).toBe(process.pid);
    dialled.close();
  });

  test('refuses a socket that node reads, or that is not connected', async () => {
    const path = join(directory(), 's');
    const server = createServer();
    server.listen(path);
    const client = new Socket().connect(path);
    const [[flowing]] = await Promise.all([once(server, 'connection'), once(client, 'connect')]);
    flowing.resume();
    expect(() => FdSocket.adopt(flowing)).toThrow(code('EINVAL'));
    expect(() => FdSocket.adopt(new Socket())).toThrow(code('EINVAL'));
    client.destroy();
    flowing.destroy();
    server.close();
  });

  test('closes the descriptor at once', async () => {
    const [near] = await dialled();
    const { fd } = near;
    near.close();
    expect(() => fstatSync(fd)).toThrow(expect.objectContaining({ code: 'EBADF' }));
  });
});
