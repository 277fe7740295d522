import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { symlink } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, test } from 'vitest';
import { isSocket, qemuProcess, qemusWith, socketArguments, startTime } from '../../src/qemu/arguments.js';
import { eventually, scratch } from './support.js';

const PATH = '/run/vhost.sock';
const read = (...words: string[]) => socketArguments(['/usr/bin/qemu-system-x86_64', ...words], PATH);

describe('socketArguments', () => {
  it('reads the plain notation', () => {
    expect(
      read(
        ...['-machine', 'q35,accel=tcg', '-m', '512', '-chardev', `socket,id=c0,path=${PATH},server=on,wait=off`],
        ...['-netdev', 'vhost-user,id=n0,chardev=c0,queues=4', '-device', 'virtio-net-pci,netdev=n0'],
      ),
    ).toEqual({
      chardev: 'c0',
      role: 'server',
      reconnectMs: 0,
      netdev: { id: 'n0', queuePairs: 4 },
      machine: 'q35',
      memory: 512 * 2 ** 20,
    });
  });

  it('reads what libvirt writes, plain and in JSON', () => {
    const chardev = JSON.stringify({
      id: 'charnet0',
      backend: {
        type: 'socket',
        data: { addr: { type: 'unix', data: { path: PATH } }, server: false, reconnect: 3 },
      },
    });
    const netdev = JSON.stringify({ type: 'vhost-user', chardev: 'charnet0', queues: 2, id: 'hostnet0' });
    const common = ['-machine', 'pc-q35-8.2,usb=off,dump-guest-core=off', '-m', 'size=2097152k'];
    const expected = {
      chardev: 'charnet0',
      role: 'client',
      reconnectMs: 3000,
      netdev: { id: 'hostnet0', queuePairs: 2 },
      machine: 'pc-q35-8.2',
      memory: 2 ** 31,
    };
    expect(read(...common, '-chardev', chardev, '-netdev', netdev)).toEqual(expected);
    const plain = `socket,id=charnet0,path=${PATH},reconnect=3`;
    expect(read(...common, '-chardev', plain, '-netdev', netdev)).toEqual(expected);
  });

  it.each([
    ['server', 'server'],
    ['server,nowait', 'server'],
    ['server=on', 'server'],
    ['server=yes', 'server'],
    ['server=off', 'client'],
    ['server=no', 'client'],
    ['server=n', 'client'],
    ['server=false', 'client'],
    ['noserver', 'client'],
    ['reconnect=1', 'client'],
  ])('%s is a %s', (words, role) => {
    expect(read('-chardev', `socket,id=c0,path=${PATH},${words}`)?.role).toBe(role);
  });

  it.each([
    ['', 0],
    [',reconnect=0', 0],
    [',reconnect=2', 2000],
    [',reconnect-ms=250', 250],
    [',server=on,reconnect=2', 0],
    [',reconnect=never', 0],
  ])('the interval of "%s" is %i ms', (words, ms) => {
    expect(read('-chardev', `socket,id=c0,path=${PATH}${words}`)?.reconnectMs).toBe(ms);
  });

  it('takes a server in JSON for one', () => {
    const data = { addr: { type: 'unix', data: { path: PATH } }, server: true, wait: false };
    const chardev = JSON.stringify({ id: 'c0', backend: { type: 'socket', data } });
    expect(read('--chardev', chardev)).toEqual({ chardev: 'c0', role: 'server', reconnectMs: 0 });
  });

  it('takes a doubled comma for one of the value', () => {
    const argv = ['qemu', '-chardev', 'socket,id=c0,path=/run/a,,b,,,server=on'];
    expect(socketArguments(argv, '/run/a,b,')?.role).toBe('server');
    expect(socketArguments(argv, '/run/a')).toBeUndefined();
  });

  it('finds the chardev of that path, and the netdev on it, among others', () => {
    const words = [
      ...['-chardev', 'socket,id=c9,path=/run/other.sock,server=on', '-netdev', 'vhost-user,id=n9,chardev=c9,queues=8'],
      ...['-netdev', 'vhost-user,id=n0,chardev=c0', '-chardev', `socket,id=c0,path=${PATH}`, '-netdev', 'user,id=n1'],
    ];
    expect(read(...words)).toMatchObject({ chardev: 'c0', role: 'client', netdev: { id: 'n0', queuePairs: 1 } });
  });

  it('says nothing of a netdev that is not there, and nothing at all without the chardev', () => {
    expect(read('-chardev', `socket,id=c0,path=${PATH}`)).toEqual({ chardev: 'c0', role: 'client', reconnectMs: 0 });
    expect(read('-netdev', 'user,id=n0')).toBeUndefined();
    expect(read('-chardev', '{"id": "c0", "path"')).toBeUndefined();
    expect(read('-name', `path=${PATH},id=c0`)).toBeUndefined();
    expect(read('-chardev')).toBeUndefined();
  });

  it.each([
    [['-m', '128'], 2 ** 27],
    [['-m', '2G'], 2 ** 31],
    [['-m', '1.5G'], 1.5 * 2 ** 30],
    [['-m', 'size=4096M,slots=2,maxmem=8G'], 2 ** 32],
    [['-m', '2g,slots=4,maxmem=4g'], 2 ** 31],
    [['-m', '1T'], 2 ** 40],
    [['-m', '256', '-m', 'slots=2'], 2 ** 28],
    [['-m', '256', '-m', '512'], 2 ** 29],
    [['-m', 'slots=2'], undefined],
    [[], undefined],
  ])('memory of %j is %s', (words, bytes) => {
    expect(read('-chardev', `socket,id=c0,path=${PATH}`, ...words)?.memory).toBe(bytes);
  });

  it.each([
    [['-M', 'microvm'], 'microvm'],
    [['-machine', 'type=pc,accel=kvm'], 'pc'],
    [['-machine', 'accel=kvm,type=pc'], 'pc'],
    [['-machine', 'q35', '-machine', 'accel=kvm'], 'q35'],
    [['-machine', 'accel=kvm'], undefined],
  ])('the machine of %j is %s', (words, machine) => {
    expect(read('-chardev', `socket,id=c0,path=${PATH}`, ...words)?.machine).toBe(machine);
  });
});

/** A process whose program has that name and whose command line is as given; it ends with the test. */
async function running(name: string, words: readonly string[]) {
  const path = join(await scratch(), name);
  await symlink(process.execPath, path);
  const child = spawn(path, ['-e', 'console.log(1); setInterval(() => {}, 1e6)', '--', ...words]);
  const exited = once(child, 'exit');
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  await once(child.stdout, 'data');
  return { pid: child.pid!, kill: () => child.kill('SIGKILL'), exited };
}

describe('live processes', () => {
  it('finds those that look like a QEMU with that chardev', async () => {
    const path = join(await scratch(), 'v.sock');
    const words = ['-chardev', `socket,id=c0,path=${path},server=on`];
    const [qemu, kvm, other] = await Promise.all([
      running('qemu-system-fake', words),
      running('kvm', words),
      running('editor', words),
      running('qemu-system-other', ['-chardev', `socket,id=c0,path=${path}2`]),
    ]);
    const found = qemusWith(path);
    expect(found.map(({ pid }) => pid).sort()).toEqual([qemu.pid, kvm.pid].sort());
    expect(socketArguments(found[0]!.argv, path)).toMatchObject({ chardev: 'c0', role: 'server' });
    expect(qemuProcess(other.pid)).toBeUndefined();
    qemu.kill();
    kvm.kill();
    await Promise.all([qemu.exited, kvm.exited]);
    expect(qemusWith(path)).toEqual([]);
    expect(qemuProcess(qemu.pid)).toBeUndefined();
  });

  it('tells when a process started, until it is gone', async () => {
    // Blanks and a parenthesis in a name are not the end of it.
    const first = await running('q) 1 (x', []);
    const own = startTime(process.pid)!;
    const its = startTime(first.pid)!;
    expect(its).toBeGreaterThanOrEqual(own);
    expect(its).toBeGreaterThan(0);
    expect(startTime(first.pid)).toBe(its);
    first.kill();
    await first.exited;
    expect(startTime(first.pid)).toBeUndefined();
  });

  it('takes a zombie for gone', async () => {
    // The shell becomes a program that does not wait for its children.
    const child = spawn('/bin/sh', ['-c', 'true & echo $!; exec cat']);
    const exited = once(child, 'exit');
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    await eventually(() => startTime(Number(line)) === undefined);
    expect(startTime(child.pid!)).toBeGreaterThan(0);
    child.kill('SIGKILL');
    await exited;
  });
});

test('isSocket: a socket only, and nothing that is not there', async () => {
  const dir = await scratch();
  const path = join(dir, 's');
  expect(isSocket(path)).toBe(false);
  expect(isSocket(dir)).toBe(false);
  const server = createServer().listen(path);
  await once(server, 'listening');
  expect(isSocket(path)).toBe(true);
  server.close();
});
