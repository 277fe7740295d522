import { once } from 'node:events';
import { createConnection, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { QmpClient, QmpError, startHeartbeat } from '../../src/qemu/index.js';
import { Recorder } from '../../src/timeline/index.js';
import { eventually, scratch } from './support.js';

const GREETING = '{"QMP": {"version": {}, "capabilities": []}}\r\n';

/** A monitor that a test plays: its socket, and a client about to open. */
async function monitor() {
  const server = createServer().listen(join(await scratch(), 'qmp'));
  await once(server, 'listening');
  const connection = once(server, 'connection') as Promise<[Socket]>;
  const near = createConnection(server.address() as string);
  const [far] = await connection;
  far.on('error', () => {});
  server.close();
  onTestFinished(() => {
    far.destroy();
    near.destroy();
  });
  const recorder = new Recorder();
  const received: { execute: string; arguments?: unknown }[] = [];
  return { far, recorder, received, opening: QmpClient.open(near, recorder) };
}

/** The same, opened; `answers` gives the answer to each command (undefined: none). */
async function opened(answers: (command: { execute: string }) => object | undefined) {
  const it = await monitor();
  it.far.on('data', (text) => {
    for (const line of String(text).trim().split('\n')) {
      const command = JSON.parse(line);
      it.received.push(command);
      const answer = command.execute === 'qmp_capabilities' ? { return: {} } : answers(command);
      if (answer) it.far.write(`${JSON.stringify(answer)}\r\n`);
    }
  });
  it.far.write(GREETING);
  return { ...it, client: await it.opening };
}

describe('QmpClient', () => {
  it('waits for the greeting before it says anything', async () => {
    const { far, recorder, opening } = await monitor();
    let said = '';
    far.on('data', (text) => {
      said += text;
      far.write('{"return": {}}\r\n');
    });
    far.write(GREETING.slice(0, 10));
    far.write(GREETING.slice(10));
    await opening;
    expect(said).toBe('{"execute":"qmp_capabilities"}\n');
    expect(recorder.events.map(({ type }) => type)).toEqual(['qmp.ready']);
  });

  it('records commands, answers and events', async () => {
    const { far, recorder, client } = await opened(({ execute }) =>
      execute === 'bad' ? { error: { class: 'GenericError', desc: 'no' } } : { return: { ok: true } },
    );
    expect(await client.execute('good', { id: 'x' })).toEqual({ ok: true });
    const refused = await client.execute('bad').catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(QmpError);
    expect(refused).toMatchObject({ code: 'ERR_QMP', errorClass: 'GenericError', desc: 'no' });
    await client.execute('quiet', undefined, { silent: true });
    far.write('{"event": "STOP", "data": {}, "timestamp": {"seconds": 1, "microseconds": 2}}\r\n');
    await eventually(() => recorder.events.at(-1)?.type === 'qmp.event');
    expect(recorder.events.slice(1)).toMatchObject([
      { type: 'qmp.command', id: 0, execute: 'good', arguments: { id: 'x' } },
      { type: 'qmp.reply', id: 0, execute: 'good', value: { ok: true } },
      { type: 'qmp.command', id: 1, execute: 'bad' },
      { type: 'qmp.reply', id: 1, execute: 'bad', error: 'no' },
      { type: 'qmp.event', event: 'STOP', data: {} },
    ]);
  });

  it('rejects what is open when the connection is lost', async () => {
    const { far, client, received } = await opened(() => undefined);
    const open = client.execute('query-status').catch((error: unknown) => error);
    await eventually(() => received.length === 2);
    far.destroy();
    expect(await open).toMatchObject({ code: 'ERR_QEMU_SOCKET' });
    await expect(client.execute('query-status')).rejects.toMatchObject({ code: 'ERR_QEMU_SOCKET' });
  });

  it('does not open on a connection that ends before the greeting', async () => {
    const { far, opening } = await monitor();
    far.end();
    await expect(opening).rejects.toMatchObject({ code: 'ERR_QEMU_SOCKET' });
  });

  it.each(['hello', '[]', '7', '{"what": 1}'])('does not take %j for QMP', async (line) => {
    const { far, opening } = await monitor();
    far.write(`${line}\n`);
    await expect(opening).rejects.toMatchObject({ code: 'ERR_QEMU_PROTOCOL' });
  });
});

describe('startHeartbeat', () => {
  const running = () => ({ return: { status: 'running', running: true } });

  it('beats until it is stopped', async () => {
    const { client, recorder, received } = await opened(running);
    const heartbeat = startHeartbeat({ qmp: client, recorder, intervalMs: 1, boundMs: 30_000 });
    await eventually(() => recorder.timeline().all('qmp.heartbeat').length >= 3);
    heartbeat.stop();
    const asked = received.length;
    expect(recorder.events[1]).toMatchObject({ type: 'qmp.heartbeat', status: 'running', latency: expect.any(Number) });
    await client.execute('query-status', undefined, { silent: true });
    expect(received.length - asked).toBeLessThanOrEqual(2);
  });

  it('beats on request, without asking twice', async () => {
    const { client, recorder, received } = await opened(running);
    const heartbeat = startHeartbeat({ qmp: client, recorder, intervalMs: 3_600_000, boundMs: 30_000 });
    await Promise.all([heartbeat.beat(), heartbeat.beat()]);
    await heartbeat.beat();
    heartbeat.stop();
    expect(received.filter(({ execute }) => execute === 'query-status')).toHaveLength(2);
  });

  it('records silence once, and the late answer', async () => {
    const { client, far, recorder } = await opened(() => undefined);
    const heartbeat = startHeartbeat({ qmp: client, recorder, intervalMs: 3_600_000, boundMs: 50 });
    const of = (type: string) => recorder.events.filter((event) => event.type === type);
    await eventually(() => of('qmp.silent').length === 1);
    far.write(`${JSON.stringify(running())}\r\n`);
    await heartbeat.beat();
    heartbeat.stop();
    const [silent] = of('qmp.silent');
    expect(of('qmp.silent')).toHaveLength(1);
    expect(of('qmp.heartbeat')[0]).toMatchObject({ sent: (silent as { since?: number }).since });
  });

  it('says nothing of a question that is still within the bound when it stops', async () => {
    const { client, recorder, received } = await opened(() => undefined);
    const heartbeat = startHeartbeat({ qmp: client, recorder, intervalMs: 1, boundMs: 3_600_000 });
    await eventually(() => received.length === 2);
    heartbeat.stop();
    expect(recorder.events.map(({ type }) => type)).toEqual(['qmp.ready']);
  });

  it('ends with the connection', async () => {
    const { client, far, recorder, received } = await opened(() => undefined);
    startHeartbeat({ qmp: client, recorder, intervalMs: 1, boundMs: 50 });
    await eventually(() => received.length === 2);
    far.destroy();
    await eventually(() => !client.connected);
    expect(recorder.events.filter(({ type }) => type === 'tester.trouble')).toEqual([]);
  });
});
