import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { atLeast, findQemu, probe } from '../../src/qemu/index.js';
import { eventually, isAlive, scratch, script } from './support.js';

/** Says that it is QEMU, then does `body`. */
const impostor = (body: string) =>
  script(`case $1 in --version) echo 'QEMU emulator version 9.2.0'; exit 0 ;; esac\n${body}`);

describe('findQemu', () => {
  it('finds the one in PATH', async () => {
    const path = await script('exit 0', 'qemu-system-x86_64');
    vi.stubEnv('PATH', `/nonexistent:${dirname(path)}:/usr/bin`);
    expect(await findQemu()).toBe(path);
    vi.unstubAllEnvs();
  });

  it('takes a path or a name', async () => {
    const path = await script('exit 0');
    expect(await findQemu(path)).toBe(path);
    expect(await findQemu('sh')).toMatch(/^\/.*\/sh$/);
  });

  it('refuses what is not there, not executable, or a folder', async () => {
    const dir = await scratch();
    await writeFile(join(dir, 'plain'), '');
    for (const path of [join(dir, 'nothing'), join(dir, 'plain'), dir])
      await expect(findQemu(path)).rejects.toMatchObject({ code: 'ERR_QEMU_NOT_FOUND' });
  });
});

describe('probe', () => {
  it('learns what the installed QEMU can do', async () => {
    const path = await findQemu();
    const facts = await probe(path);
    expect(facts.path).toBe(path);
    expect(facts.version).toMatch(/^\d+\.\d+\.\d+$/);
    expect(facts.versionText).toContain(`QEMU emulator version ${facts.version}`);
    expect([...facts.machines]).toEqual(expect.arrayContaining(['q35', 'none']));
    expect(facts.accelerators.size).toBeGreaterThan(0);
    expect(facts.qtest).toBe(true);
    expect([...facts.types]).toContain('virtio-net-pci');
    if (!atLeast(facts, 9, 2)) expect(facts.reconnectOption).toBe('reconnect');
    if (atLeast(facts, 10, 2)) expect(facts.reconnectOption).toBe('reconnect-ms');
  });

  it('goes through a script that executes QEMU', async () => {
    const wrapper = await script(`exec ${await findQemu()} "$@"`);
    expect(await probe(wrapper)).toMatchObject({ path: wrapper, qtest: true });
  });

  it('refuses a script that keeps QEMU as its child', async () => {
    const wrapper = await script(`${await findQemu()} "$@"; exit $?`);
    await expect(probe(wrapper)).rejects.toMatchObject({
      code: 'ERR_QEMU_PROBE',
      hint: expect.stringContaining('exec'),
    });
  });

  it.each([
    ['says something else', "echo 'qemu-img version 7.2.0'"],
    ['says nothing', 'exit 0'],
    ['fails', 'echo no >&2; exit 3'],
    ['never stops talking', 'exec cat /dev/zero'],
    ['answers and fails', "echo 'QEMU emulator version 9.2.0'; exit 1"],
  ])('refuses a program that %s', async (_, body) => {
    const error = await probe(await script(body)).catch((error: unknown) => error);
    expect(error).toMatchObject({ code: 'ERR_NOT_QEMU', hint: expect.any(String) });
    expect((error as Error).message).not.toContain('\n');
  });

  it('gives up on one that hangs, with all its children', async () => {
    const path = await script(`sleep 600 & echo $! >"$0.pid"; wait`);
    await expect(probe(path, { boundMs: 5000 })).rejects.toMatchObject({ code: 'ERR_NOT_QEMU' });
    const child = Number(readFileSync(`${path}.pid`, 'utf8'));
    await eventually(() => !isAlive(child));
  });

  it('refuses a file that cannot be started', async () => {
    const path = await script('#!/nonexistent/interpreter\n');
    await expect(probe(path)).rejects.toMatchObject({ code: 'ERR_QEMU_START' });
  });

  it('quotes the last words of one that exits at once', async () => {
    const path = await impostor('echo bad luck >&2; exit 3');
    const message = expect.stringContaining('exited with code 3 before QMP was there: bad luck');
    await expect(probe(path)).rejects.toMatchObject({ code: 'ERR_QEMU_PROBE', message });
  });

  it('gives up on one that does not open its monitor', async () => {
    await expect(probe(await impostor('exec sleep 600'), { boundMs: 5000 })).rejects.toMatchObject({
      code: 'ERR_QEMU_PROBE',
    });
  });

  it('refuses garbage on the monitor', async () => {
    const path = await script(`#!${process.execPath}
      if (process.argv[2] === '--version') console.log('QEMU emulator version 9.2.0');
      else require('node:net').connect(/unix:([^,]*)/.exec(process.argv.join(' '))[1]).write('hello\\n');
    `);
    await expect(probe(path)).rejects.toMatchObject({
      code: 'ERR_QEMU_PROBE',
      message: expect.stringContaining('hello'),
    });
  });

  it('refuses a version that is too old', async () => {
    const path = await script(`#!${process.execPath}
      if (process.argv[2] === '--version') console.log('QEMU emulator version 4.1.0');
      else {
        const socket = require('node:net').connect(/unix:([^,]*)/.exec(process.argv.join(' '))[1]);
        socket.write('{"QMP": {}}\\n');
        socket.on('data', (text) => {
          for (const _ of String(text).trim().split('\\n'))
            socket.write('{"return": {"qemu": {"major": 4, "minor": 1, "micro": 0}}}\\n');
        });
      }
    `);
    await expect(probe(path)).rejects.toMatchObject({ code: 'ERR_QEMU_UNSUPPORTED' });
  });
});
