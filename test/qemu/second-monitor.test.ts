import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { SecondMonitor } from '../../src/qemu/index.js';
import { Recorder } from '../../src/timeline/index.js';
import { eventually, scratch } from './support.js';

/** A monitor that a test plays, and a client that has dialled it; `answers` gives the answer to each command. */
async function visited(answers: (execute: string) => object | undefined = () => ({ return: {} })) {
  const path = join(await scratch(), 'monitor');
  const server = createServer().listen(path);
  await once(server, 'listening');
  const recorder = new Recorder();
  const connection = once(server, 'connection') as Promise<[Socket]>;
  const client = SecondMonitor.dial(path, recorder, 7);
  const [far] = await connection;
  const ended = new Promise((resolve) => far.once('end', resolve));
  let said = '';
  far.on('error', () => {});
  far.on('data', (text) => {
    said += text;
    for (const line of String(text).split('\n').slice(0, -1)) {
      const answer = answers(JSON.parse(line).execute);
      if (answer) far.write(`${JSON.stringify(answer)}\r\n`);
    }
  });
  onTestFinished(() => {
    client.leave();
    far.destroy();
    server.close();
  });
  far.write('{"QMP": {"version": {}, "capabilities": []}}\r\n');
  return { client, far, recorder, ended, said: () => said };
}

describe('SecondMonitor', () => {
  it('records commands and their answers, by number', async () => {
    const { client, recorder, said } = await visited((execute) =>
      execute === 'bad' ? { error: { class: 'GenericError', desc: 'no' } } : { return: { ok: true } },
    );
    await Promise.all([client.ask('qmp_capabilities'), client.ask('bad')]);
    await client.ask('query-status');
    expect(said()).toBe('{"execute":"qmp_capabilities"}\n{"execute":"bad"}\n{"execute":"query-status"}\n');
    expect(recorder.events).toMatchObject([
      { type: 'monitor.open', client: 7 },
      { type: 'monitor.command', client: 7, id: 0, execute: 'qmp_capabilities' },
      { type: 'monitor.command', client: 7, id: 1, execute: 'bad' },
      { type: 'monitor.reply', client: 7, id: 0 },
      { type: 'monitor.reply', client: 7, id: 1, error: expect.stringContaining('no') },
      { type: 'monitor.command', client: 7, id: 2, execute: 'query-status' },
      { type: 'monitor.reply', client: 7, id: 2 },
    ]);
    expect(recorder.events.filter((event) => 'error' in event)).toHaveLength(1);
  });

  it('records events with what they say', async () => {
    const { far, recorder } = await visited();
    far.write(
      '{"event": "STOP", "timestamp": {"seconds": 1, "microseconds": 2}}\r\n{"event": "RESET", "data": {"guest"',
    );
    far.write(': true}}\r\n');
    await eventually(() => recorder.timeline().all('monitor.event').length === 2);
    expect(recorder.timeline().all('monitor.event')).toMatchObject([
      { client: 7, event: 'STOP', data: {} },
      { client: 7, event: 'RESET', data: { guest: true } },
    ]);
  });

  it('leaves after all that it asked is sent, and waits for nothing', async () => {
    const { client, recorder, ended, said } = await visited(() => undefined);
    const asked = [client.ask('qmp_capabilities'), client.ask('query-status')];
    expect(client.leave()).toBe(true);
    await Promise.all(asked);
    await ended;
    expect(said()).toBe('{"execute":"qmp_capabilities"}\n{"execute":"query-status"}\n');
    expect(recorder.events.slice(3)).toMatchObject([{ type: 'monitor.close', client: 7, by: 'client' }]);
    expect(recorder.events.at(-1)).not.toHaveProperty('half');
    expect(client.connected).toBe(false);
    expect(client.leave()).toBe(false);
    expect(recorder.events).toHaveLength(4);
  });

  it('breaks off in the middle of a command', async () => {
    const { client, recorder, ended, said } = await visited(() => undefined);
    const asked = client.ask('qmp_capabilities');
    client.leave('half');
    await asked;
    await ended;
    const [whole, half] = said().split('\n');
    expect(whole).toBe('{"execute":"qmp_capabilities"}');
    expect(half).toMatch(/^\{"execute"/);
    expect(() => JSON.parse(half!)).toThrow(SyntaxError);
    expect(recorder.events.at(-1)).toMatchObject({ type: 'monitor.close', by: 'client', half: true });
  });

  it('tells when QEMU ends the connection, and what was asked fails', async () => {
    const { client, far, recorder, said } = await visited(() => undefined);
    const asked = client.ask('qmp_capabilities').catch((error: unknown) => error);
    await eventually(() => said() !== '');
    far.destroy();
    expect(await asked).toMatchObject({ code: 'ERR_QEMU_SOCKET' });
    expect(recorder.events.at(-1)).toMatchObject({ type: 'monitor.close', client: 7, by: 'front-end' });
    expect(client.leave()).toBe(false);
  });

  it.each(['hello', '[]'])('gives up what is no QMP: %s', async (line) => {
    const { client, far, recorder } = await visited(() => undefined);
    const asked = client.ask('qmp_capabilities').catch((error: unknown) => error);
    far.write(`${line}\n`);
    expect(await asked).toMatchObject({ code: 'ERR_QEMU_PROTOCOL' });
    expect(recorder.events.at(-1)).toMatchObject({ type: 'monitor.close', by: 'front-end' });
  });
});
