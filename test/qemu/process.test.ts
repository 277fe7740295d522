import { readlinkSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { findQemu, haltBios, type LaunchOptions, launch } from '../../src/qemu/index.js';
import { Recorder } from '../../src/timeline/index.js';
import { eventually, isAlive, scratch, script } from './support.js';

let qemuPath: string;
beforeAll(async () => {
  qemuPath = await findQemu();
});

/** A QEMU with an empty machine and both of our sockets; `path` and `extra` as the test wants. */
async function start({ path = qemuPath, extra = [], ...options }: Partial<LaunchOptions> & { extra?: string[] } = {}) {
  const cwd = await scratch();
  const [qmpPath, qtestPath, bios] = [join(cwd, 'qmp.sock'), join(cwd, 'qtest.sock'), join(cwd, 'halt.bin')];
  await writeFile(bios, haltBios());
  const recorder = new Recorder();
  const argv = ['-machine', 'pc', '-nodefaults', '-display', 'none', '-m', '16', '-bios', bios];
  argv.push('-qmp', `unix:${qmpPath},server=off`, '-qtest', `unix:${qtestPath},server=off`, '-qtest-log', 'none');
  const qemu = await launch({ path, argv: [...argv, ...extra], cwd, qmpPath, qtestPath, recorder, ...options });
  onTestFinished(() => qemu.dispose());
  return { qemu, recorder, cwd };
}

const types = (recorder: Recorder) => recorder.events.map(({ type }) => type);

describe('launch', () => {
  it('brings up QMP and qtest, and quits', async () => {
    const { qemu, recorder, cwd } = await start();
    const qmp = await qemu.qmp;
    expect(await qmp.execute('query-status')).toMatchObject({ status: 'running' });
    // The first instruction of the BIOS, read where the CPU fetches it.
    expect((await (await qemu.qtest).readBytes(0xfffffff0n, 4)).toString('hex')).toBe('faf4ebfd');
    expect(readlinkSync(`/proc/${qemu.pid}/cwd`)).toBe(cwd);
    qemu.quit();
    expect(await qemu.exited).toEqual({ code: 0, signal: null, asked: 'quit' });
    await qemu.dispose();
    expect(recorder.events[0]).toMatchObject({ type: 'qemu.spawn', pid: qemu.pid });
    expect(types(recorder)).toEqual(expect.arrayContaining(['qmp.ready', 'qmp.command', 'qmp.reply', 'qemu.exit']));
    expect(types(recorder)).not.toContain('qemu.post-mortem');
  });

  it('kills on dispose, also twice', async () => {
    const { qemu, recorder } = await start();
    await Promise.all([qemu.dispose(), qemu.dispose()]);
    expect(await qemu.exited).toEqual({ code: null, signal: 'SIGKILL', asked: 'kill' });
    expect(isAlive(qemu.pid)).toBe(false);
    expect(types(recorder)).not.toContain('qemu.post-mortem');
  });

  it('tells by its own words why QEMU did not come up', async () => {
    const { qemu, recorder } = await start({ extra: ['-device', 'nonsense'] });
    const message = expect.stringContaining('nonsense');
    await expect(qemu.qmp).rejects.toMatchObject({ code: 'ERR_QEMU_EXITED', message });
    await qemu.settled;
    expect(await qemu.exited).toEqual({ code: 1, signal: null });
    expect(recorder.events.at(-1)).toEqual({
      ...recorder.events.at(-1)!,
      type: 'qemu.post-mortem',
      noBacktrace: 'it exited by itself with code 1',
    });
  });

  it('needs nobody to wait for the monitor of a QEMU that dies', async () => {
    const unhandled: unknown[] = [];
    const note = (error: unknown) => unhandled.push(error);
    process.on('unhandledRejection', note);
    const { qemu } = await start({ path: await script('exit 7') });
    await qemu.settled;
    await new Promise((resolve) => setImmediate(resolve));
    process.off('unhandledRejection', note);
    expect(unhandled).toEqual([]);
    const error = { code: 'ERR_QEMU_EXITED', message: 'QEMU exited with code 7 before qtest was there' };
    await expect(qemu.qtest).rejects.toMatchObject(error);
  });

  it('records a failed assertion and a backtrace, or why there is none', async () => {
    const path = await script(
      `echo "qemu: ../../net/vhost-user.c:12: f: Assertion \\\`x == 1' failed." >&2; kill -ABRT $$`,
    );
    const { qemu, recorder } = await start({ path });
    await qemu.settled;
    expect(await qemu.exited).toEqual({ code: null, signal: 'SIGABRT' });
    const last = recorder.timeline().all('qemu.post-mortem').at(-1)!;
    const assertion = { file: 'net/vhost-user.c', line: 12, function: 'f', expression: 'x == 1' };
    expect(last.assertion).toEqual(assertion);
    expect(last.backtrace ?? last.noBacktrace).toBeDefined();
  });

  it('takes a backtrace of a crash from the core, where there are gdb and a core', async () => {
    const { qemu, recorder } = await start({ core: true });
    await qemu.qmp;
    process.kill(qemu.pid, 'SIGABRT');
    await qemu.settled;
    expect(await qemu.exited).toEqual({ code: null, signal: 'SIGABRT' });
    const found = recorder.timeline().all('qemu.post-mortem');
    expect(found).toHaveLength(1);
    if (found[0]!.noBacktrace === undefined)
      expect(found[0]!.backtrace!.filter((f) => f.startsWith('#0 '))).toHaveLength(1);
  });

  it('records stdout and stderr line by line', async () => {
    const { qemu, recorder } = await start({
      path: await script("printf 'one\\ntw'; printf 'o\\nlast'; printf 'error\\n' >&2"),
    });
    await qemu.settled;
    const lines = recorder
      .timeline()
      .all('qemu.stderr')
      .map(({ line }) => line);
    expect(lines.toSorted()).toEqual(['error', 'last', 'one', 'two']);
  });

  it('refuses a socket path that cannot be had, and a program that cannot be started', async () => {
    const cwd = await scratch();
    const qmpPath = join(cwd, 'qmp.sock');
    const options = { path: qemuPath, argv: [], cwd, qmpPath, recorder: new Recorder() };
    await expect(launch({ ...options, qtestPath: join(cwd, 'no/such') })).rejects.toMatchObject({
      code: 'ERR_QEMU_START',
    });
    await expect(launch({ ...options, cwd: join(cwd, 'none') })).rejects.toMatchObject({ code: 'ERR_QEMU_START' });
    // Both failures gave the first socket back.
    const server = createServer().listen(qmpPath);
    await new Promise((resolve, reject) => server.once('listening', resolve).once('error', reject));
    server.close();
  });

  it('has no qtest without a path for it', async () => {
    const cwd = await scratch();
    const path = await script('exec sleep 600');
    const qemu = await launch({ path, argv: [], cwd, qmpPath: join(cwd, 'q'), recorder: new Recorder() });
    await expect(qemu.qtest).rejects.toMatchObject({ code: 'ERR_QEMU_START' });
    await qemu.dispose();
  });

  it('kills the children of a script too', async () => {
    const { qemu, recorder } = await start({ path: await script('sleep 600 & echo $!; wait') });
    const line = () => recorder.timeline().all('qemu.stderr')[0]?.line;
    await eventually(() => line() !== undefined);
    await qemu.dispose();
    await eventually(() => !isAlive(Number(line())));
  });
});
