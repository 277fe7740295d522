import { symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { parseAssertion } from '../../src/qemu/assertion.js';
import { findCore } from '../../src/qemu/core-file.js';
import { postMortem } from '../../src/qemu/post-mortem.js';
import { scratch, script } from './support.js';

describe('parseAssertion', () => {
  it.each([
    [
      'glibc',
      "qemu-system-x86_64: ../../hw/net/vhost_net.c:496: get_vhost_net: Assertion `vhost_net' failed.",
      { file: 'hw/net/vhost_net.c', line: 496, function: 'get_vhost_net', expression: 'vhost_net' },
    ],
    [
      'glibc, newer quotes',
      "qemu-kvm: ../chardev/char-socket.c:131: void tcp_chr_change_state(SocketChardev *, int): Assertion 's->state == 0' failed.",
      {
        file: 'chardev/char-socket.c',
        line: 131,
        function: 'void tcp_chr_change_state(SocketChardev *, int)',
        expression: 's->state == 0',
      },
    ],
    [
      'musl',
      'Assertion failed: !s->reconnect_timer (../chardev/char-socket.c: qemu_chr_socket_restart_timer: 148)',
      {
        file: 'chardev/char-socket.c',
        line: 148,
        function: 'qemu_chr_socket_restart_timer',
        expression: '!s->reconnect_timer',
      },
    ],
    [
      'GLib',
      'ERROR:../hw/virtio/vhost.c:1234:vhost_dev_start: assertion failed: (hdev->started)',
      { file: 'hw/virtio/vhost.c', line: 1234, function: 'vhost_dev_start', expression: '(hdev->started)' },
    ],
    [
      'GLib on stdout, comparison',
      'Bail out! ERROR:../a.c:7:f: assertion failed (x == 1): (2 == 1)',
      { file: 'a.c', line: 7, function: 'f', expression: '(x == 1): (2 == 1)' },
    ],
    [
      'GLib, not reached',
      'ERROR:../a.c:7:f: code should not be reached',
      { file: 'a.c', line: 7, function: 'f', expression: 'code should not be reached' },
    ],
  ])('knows the form of %s', (_, line, assertion) => {
    expect(parseAssertion(line)).toEqual(assertion);
  });

  it.each(['', '**', 'qemu-system-x86_64: Failed to set msg fds.', 'the assertion failed'])('ignores %j', (line) => {
    expect(parseAssertion(line)).toBeUndefined();
  });
});

describe('findCore', () => {
  const pid = 4711;

  async function folder(...files: string[]): Promise<string> {
    const cwd = await scratch();
    for (const file of files) await writeFile(join(cwd, file), 'core');
    return cwd;
  }

  it.each([
    ['core', 'core'],
    ['core', 'core.4711'],
    ['core.%p', 'core.4711'],
    ['core-%e-%p-%t', 'core-qemu-system-x86-4711-1700000000'],
    ['%%core+%s', '%core+6'],
  ])('finds by the pattern %s the file %s', async (pattern, file) => {
    const cwd = await folder(file, 'qmp.sock');
    expect(await findCore({ pid, cwd }, pattern)).toEqual({ path: join(cwd, file) });
  });

  it('takes from a shared folder only what bears the process’s id', async () => {
    const cores = await folder('core.1', 'core.4711');
    const cwd = await scratch();
    expect(await findCore({ pid, cwd }, `${cores}/core.%p`)).toEqual({ path: join(cores, 'core.4711') });
    expect(await findCore({ pid: 5, cwd }, `${cores}/core.%p`)).toEqual({ none: expect.stringContaining('core.%p') });
    expect(await findCore({ pid: 5, cwd }, `${cores}/core.%t`)).toEqual({ none: expect.any(String) });
  });

  it.each(['core', '/no/such/folder/core.%p'])('tells that there is none by %s', async (pattern) => {
    expect(await findCore({ pid, cwd: await folder('other') }, pattern)).toEqual({ none: expect.any(String) });
  });

  it('tells that a program took it', async () => {
    expect(await findCore({ pid, cwd: '/' }, '|/usr/share/apport/apport %p')).toEqual({
      none: expect.stringContaining('apport'),
    });
  });

  it('asks systemd’s collector', async () => {
    const coredumpctl = await script(`[ "$1 $2" = 'dump 4711' ] && printf core >"\${3#--output=}"`, 'coredumpctl');
    vi.stubEnv('PATH', `${dirname(coredumpctl)}:${process.env.PATH}`);
    const cwd = await scratch();
    const pattern = '|/lib/systemd/systemd-coredump %P';
    expect(await findCore({ pid, cwd }, pattern)).toEqual({ path: join(cwd, 'core.collected') });
    expect(await findCore({ pid: 5, cwd }, pattern)).toEqual({ none: expect.stringContaining('no core of process 5') });
  });
});

describe('postMortem', () => {
  afterEach(() => void vi.unstubAllEnvs());
  const dead = { pid: 4711, executable: '/bin/true', code: null, signal: 'SIGABRT', assertion: undefined };

  it('says why there is no backtrace', async () => {
    const cwd = await scratch();
    const of = async (changes: object) => (await postMortem({ ...dead, cwd, ...changes })).noBacktrace;
    expect(await of({ signal: null, code: 1 })).toContain('code 1');
    expect(await of({ signal: 'SIGKILL' })).toContain('no core');
    expect(await of({})).toEqual(expect.any(String));
  });

  it('does without gdb', async () => {
    const bin = await scratch();
    await symlink('/bin/sh', join(bin, 'sh'));
    vi.stubEnv('PATH', bin);
    expect((await postMortem({ ...dead, cwd: await scratch() })).noBacktrace).toEqual(expect.any(String));
  });
});
