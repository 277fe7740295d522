import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { dialMonitor, type Monitor, onlyLooking, virshMonitor } from '../../src/drill/monitor.js';
import { QmpError, startTime } from '../../src/qemu/index.js';
import { Recorder } from '../../src/timeline/index.js';
import { scratch, script } from '../qemu/support.js';

const GREETING = '{"QMP": {"version": {}, "capabilities": []}}\r\n';

/** A QMP server of the test: what it does with the nth connection; it answers everything that it is not to refuse. */
async function listening(
  path: string,
  visit: (socket: Socket, nth: number) => void = (socket) => socket.write(GREETING),
) {
  const sockets: Socket[] = [];
  const asked: string[] = [];
  const server: Server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    socket.on('data', (text) => {
      for (const line of String(text).split('\n').slice(0, -1)) {
        const { execute } = JSON.parse(line) as { execute: string };
        asked.push(execute);
        const refused = execute.startsWith('bad') && { error: { class: 'CommandNotFound', desc: 'no such' } };
        socket.write(`${JSON.stringify(refused || { return: { of: execute } })}\r\n`);
      }
    });
    visit(socket, sockets.length);
  }).listen(path);
  await once(server, 'listening');
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { server, sockets, asked };
}

const never = () => new AbortController().signal;
const socketPath = async () => join(await scratch(), 'qmp');
const kinds = (recorder: Recorder) => recorder.events.map(({ type }) => type);

describe('dialMonitor', () => {
  it('asks, and records what it asked', async () => {
    const path = await socketPath();
    const { asked } = await listening(path);
    const recorder = new Recorder();
    const monitor = await dialMonitor(path, recorder, never());
    expect(monitor.how).toBe(`QMP ${path}`);
    expect(kinds(recorder)).toEqual(['qmp.ready']);
    expect(await monitor.execute('query-status')).toEqual({ of: 'query-status' });
    expect(await monitor.execute('query-name', undefined, { silent: true })).toEqual({ of: 'query-name' });
    await expect(monitor.execute('bad')).rejects.toMatchObject({ errorClass: 'CommandNotFound', desc: 'no such' });
    expect(asked).toEqual(['qmp_capabilities', 'query-status', 'query-name', 'bad']);
    expect(recorder.events.slice(1)).toMatchObject([
      { type: 'qmp.command', execute: 'query-status' },
      { type: 'qmp.reply', execute: 'query-status', value: { of: 'query-status' } },
      { type: 'qmp.command', execute: 'bad' },
      { type: 'qmp.reply', execute: 'bad', error: 'no such' },
    ]);
    monitor.close();
    await monitor.lost;
  });

  it('waits until somebody is there', async () => {
    const path = await socketPath();
    const monitor = dialMonitor(path, new Recorder(), never());
    // The first try has been refused: nothing is at the path.
    expect(existsSync(path)).toBe(false);
    const { sockets } = await listening(path);
    (await monitor).close();
    expect(sockets).toHaveLength(1);
  });

  it('waits for a greeting that comes late', async () => {
    const path = await socketPath();
    let greet = () => {};
    const visited = new Promise<void>((resolve) => {
      void listening(path, (socket) => {
        greet = () => socket.write(GREETING);
        resolve();
      });
    });
    const recorder = new Recorder();
    const monitor = dialMonitor(path, recorder, never());
    await visited;
    expect(kinds(recorder)).toEqual([]);
    greet();
    (await monitor).close();
    expect(kinds(recorder)).toEqual(['qmp.ready']);
  });

  it('dials again when the other end hangs up before it greeted', async () => {
    const path = await socketPath();
    const { sockets } = await listening(path, (socket, nth) => (nth === 1 ? socket.destroy() : socket.write(GREETING)));
    const began = performance.now();
    (await dialMonitor(path, new Recorder(), never())).close();
    expect(sockets).toHaveLength(2);
    // Not at once: it might hang up every time.
    expect(performance.now() - began).toBeGreaterThan(900);
  });

  it('refuses what is no QMP', async () => {
    const path = await socketPath();
    await listening(path, (socket) => socket.write('SSH-2.0-OpenSSH\r\n'));
    await expect(dialMonitor(path, new Recorder(), never())).rejects.toMatchObject({
      name: 'DrillError',
      code: 'ERR_MONITOR',
      message: expect.stringContaining(`${path}: cannot make sense of "SSH-2.0`),
    });
  });

  it.each(['before', 'while nobody is there', 'while it waits for the greeting'])('is aborted %s', async (when) => {
    const path = await socketPath();
    const control = new AbortController();
    const over = new Error('the drill is over');
    let visited = Promise.resolve();
    if (when === 'while it waits for the greeting')
      visited = new Promise((resolve) => {
        void listening(path, () => resolve());
      });
    if (when === 'before') control.abort(over);
    const monitor = dialMonitor(path, new Recorder(), control.signal).catch((error: unknown) => error);
    await visited;
    control.abort(over);
    expect(await monitor).toBe(over);
  });

  it('tells when the monitor is lost, and what is asked then fails', async () => {
    const path = await socketPath();
    const { sockets } = await listening(path);
    const monitor = await dialMonitor(path, new Recorder(), never());
    sockets[0]!.destroy();
    await monitor.lost;
    await expect(monitor.execute('query-status')).rejects.toMatchObject({ code: 'ERR_QEMU_SOCKET' });
  });
});

describe('onlyLooking', () => {
  const sent: unknown[][] = [];
  const monitor: Monitor = {
    how: '',
    execute: async (...args) => {
      sent.push(args);
      return 7;
    },
    lost: new Promise(() => {}),
    close() {},
  };

  it('passes on what looks', async () => {
    const args = { path: '/chardevs/c0', property: 'connected' };
    expect(await onlyLooking(monitor).execute('qom-get', args, { silent: true })).toBe(7);
    expect(sent.splice(0)).toEqual([['qom-get', args, { silent: true }]]);
  });

  it.each(['quit', 'qom-set', 'set_link', 'human-monitor-command', 'system_reset', 'stop', ''])(
    'refuses %s',
    (name) => {
      expect(() => onlyLooking(monitor).execute(name)).toThrow(TypeError);
      expect(sent).toEqual([]);
    },
  );
});

/**
 * A virsh that notes its arguments down, one a line, and then does as `body` says; $last is the question. Whoever reads events
 * gets what `events` prints.
 */
async function virsh(body: string, events = ':'): Promise<{ program: [string]; calls(): string[][] }> {
  const log = join(await scratch(), 'calls');
  const path = await script(
    `case "$*" in *qemu-monitor-event*) ${events}; exec sleep 600;; esac\n` +
      `for last; do printf '%s\\n' "$last" >> ${log}; done; echo . >> ${log}\n` +
      `case "$last" in *query-version*) echo '{"return": {}, "id": "libvirt-1"}'; exit 0;; esac\n${body}`,
    'virsh',
  );
  const calls = () =>
    readFileSync(log, 'utf8')
      .split('\n.\n')
      .slice(0, -1)
      .map((one) => one.split('\n'));
  return { program: [path], calls };
}

describe('virshMonitor', () => {
  it('asks through libvirt, and records what it asked', async () => {
    const { program, calls } = await virsh(`echo '{"return": {"status": "running"}, "id": "libvirt-2"}'`);
    const recorder = new Recorder();
    const monitor = await virshMonitor('vm1', recorder, never(), {
      program: [...program, '--connect', 'qemu:///system'],
    });
    expect(monitor.how).toBe('virsh vm1');
    expect(kinds(recorder)).toEqual(['qmp.ready']);
    expect(await monitor.execute('query-status')).toEqual({ status: 'running' });
    expect(await monitor.execute('qom-get', { path: '/x' }, { silent: true })).toEqual({ status: 'running' });
    const start = ['--connect', 'qemu:///system', 'qemu-monitor-command', '--domain', 'vm1'];
    expect(calls()).toEqual([
      [...start, '{"execute":"query-version"}'],
      [...start, '{"execute":"query-status"}'],
      [...start, '{"execute":"qom-get","arguments":{"path":"/x"}}'],
    ]);
    expect(recorder.events.slice(1)).toMatchObject([
      { type: 'qmp.command', id: 0, execute: 'query-status' },
      { type: 'qmp.reply', id: 0, execute: 'query-status', value: { status: 'running' } },
    ]);
    monitor.close();
    await monitor.lost;
  });

  it('hands on what QEMU refuses', async () => {
    const { program } = await virsh(`echo '{"id": "libvirt-3", "error": {"class": "GenericError", "desc": "no"}}'`);
    const recorder = new Recorder();
    const monitor = await virshMonitor('vm1', recorder, never(), { program });
    const error = await monitor.execute('device_del', { id: 'x' }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(QmpError);
    expect(error).toMatchObject({ errorClass: 'GenericError', desc: 'no' });
    expect(recorder.events.at(-1)).toMatchObject({ type: 'qmp.reply', error: 'no', errorClass: 'GenericError' });
  });

  it.each([
    ['echo "error: domain is not running" >&2; exit 1', 'error: domain is not running'],
    ['exit 3', 'exit code 3'],
  ])('is lost when virsh fails: %s', async (body, message) => {
    const { program } = await virsh(body);
    const recorder = new Recorder();
    const monitor = await virshMonitor('vm1', recorder, never(), { program });
    await expect(monitor.execute('query-status')).rejects.toMatchObject({
      code: 'ERR_QEMU_SOCKET',
      message: expect.stringContaining(message),
    });
    await monitor.lost;
    // Nobody answered.
    expect(recorder.events.at(-1)).toMatchObject({ type: 'qmp.command' });
  });

  it('fails where the answer is no QMP', async () => {
    const { program } = await virsh('echo hello');
    const monitor = await virshMonitor('vm1', new Recorder(), never(), { program });
    await expect(monitor.execute('query-status')).rejects.toMatchObject({ code: 'ERR_QEMU_PROTOCOL' });
  });

  it('waits for a domain that does not run yet, and tells what virsh says', async () => {
    const running = join(await scratch(), 'running');
    const path = await script(
      `case "$*" in *qemu-monitor-event*) exec sleep 600;; esac\n` +
        `[ -e ${running} ] && echo '{"return": {}}' || { echo 'error: domain is not running' >&2; exit 1; }`,
      'virsh',
    );
    const recorder = new Recorder();
    const said: string[] = [];
    const waits = (why: string) => {
      said.push(why);
      expect(kinds(recorder)).toEqual([]);
      writeFileSync(running, '');
    };
    const monitor = await virshMonitor('vm1', recorder, never(), { waits, program: [path] });
    expect(said).toEqual(['error: domain is not running']);
    expect(kinds(recorder)).toEqual(['qmp.ready']);
    monitor.close();
  });

  it('is aborted while it waits', async () => {
    const path = await script('echo error >&2; exit 1', 'virsh');
    const control = new AbortController();
    const over = new Error('the drill is over');
    const waits = () => control.abort(over);
    await expect(virshMonitor('vm1', new Recorder(), control.signal, { waits, program: [path] })).rejects.toBe(over);
  });

  it('needs a virsh', async () => {
    const recorder = new Recorder();
    const program = [join(await scratch(), 'none')] as [string];
    await expect(virshMonitor('vm9', recorder, never(), { program })).rejects.toMatchObject({
      code: 'ERR_MONITOR',
      message: expect.stringContaining('ENOENT'),
    });
    expect(recorder.events).toEqual([]);
  });

  it('records the events of QEMU from when it is ready, and ends their reader', async () => {
    const dir = await scratch();
    const { program } = await virsh(
      `echo '{"return": {}}'`,
      `echo $$ > ${dir}/pid; until [ -e ${dir}/ready ]; do sleep 0.05; done; ` +
        `echo 'event STOP at 1795879465.817358 for domain '"'vm 1: x'"': <null>'; ` +
        `echo 'event RESET at 1795879465.876482 for domain '"'vm 1: x'"': {"guest":true,"reason":"guest-reset"}'`,
    );
    const recorder = new Recorder();
    const monitor = await virshMonitor('vm 1: x', recorder, never(), { program });
    const both = new Promise<void>((resolve) => {
      recorder.listen(() => {
        if (kinds(recorder).length === 3) resolve();
      });
    });
    writeFileSync(join(dir, 'ready'), '');
    await both;
    expect(recorder.events).toMatchObject([
      { type: 'qmp.ready' },
      { type: 'qmp.event', event: 'STOP', data: {} },
      { type: 'qmp.event', event: 'RESET', data: { guest: true, reason: 'guest-reset' } },
    ]);
    const pid = Number(readFileSync(join(dir, 'pid'), 'utf8'));
    expect(startTime(pid)).toBeDefined();
    monitor.close();
    await expect.poll(() => startTime(pid), { timeout: 60_000 }).toBeUndefined();
  });

  it('is lost when the events end', async () => {
    const end = join(await scratch(), 'end');
    const { program } = await virsh(
      `echo '{"return": {}}'`,
      `until [ -e ${end} ]; do sleep 0.05; done; echo 'error: Disconnected' >&2; exit 1`,
    );
    const monitor = await virshMonitor('vm1', new Recorder(), never(), { program });
    writeFileSync(end, '');
    expect(await monitor.lost).toBe('error: Disconnected');
    await expect(monitor.execute('query-status')).rejects.toMatchObject({ code: 'ERR_QEMU_SOCKET' });
  });

  it('never passes through a shell', async () => {
    const { program, calls } = await virsh(`echo '{"return": {}}'`);
    const mark = join(await scratch(), 'mark');
    const domain = `vm $(touch ${mark}) ; touch ${mark} '"`;
    const monitor = await virshMonitor(domain, new Recorder(), never(), { program });
    const path = `\`touch ${mark}\` && touch ${mark} | '"$HOME`;
    await monitor.execute('qom-get', { path });
    const [, , asWas, question] = calls()[1]!;
    expect(asWas).toBe(domain);
    expect(JSON.parse(question!)).toEqual({ execute: 'qom-get', arguments: { path } });
    expect(existsSync(mark)).toBe(false);
  });
});
