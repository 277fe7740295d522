import { once } from 'node:events';
import { appendFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { ControlClient, ControlServer, type Drill, PROTOCOL, type ServerMessage } from '../../src/drill/index.js';
import { DEADLINE_MS, drill, folder, happened, served, spawned } from './scene.js';

async function scene(): Promise<{ live: Drill; server: ControlServer; port: number }> {
  const live = await drill({ spawn: await spawned() });
  await live.perform('await', 'ready');
  const server = await served(live);
  return { live, server, port: Number(new URL(server.address).port) };
}

/** The status of an upgrade that is refused, or 101. */
function upgrade(
  server: ControlServer,
  { token = server.token, headers = {} }: { token?: string; headers?: Record<string, string> } = {},
): Promise<number> {
  const socket = new WebSocket(`${server.address.replace('http', 'ws')}control`, [PROTOCOL, `token.${token}`], {
    headers,
  });
  return new Promise((resolve, reject) => {
    socket.once('open', () => {
      socket.terminate();
      resolve(101);
    });
    socket.once('unexpected-response', (_request, response) => resolve(response.statusCode!));
    socket.once('error', reject);
  });
}

function get(server: ControlServer, path: string, headers: Record<string, string> = {}, method = 'GET') {
  return new Promise<{ status: number; headers: Record<string, unknown>; body: string }>((resolve, reject) => {
    const sent = httpRequest(new URL(path, server.address), { headers, method }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, body }));
    });
    sent.on('error', reject).end();
  });
}

/** The peer and the virtual machine go on as if nothing had been. */
async function undisturbed(live: Drill): Promise<void> {
  expect(live.ports[0]!.recorder.latest('session.close')).toBeUndefined();
  await live.perform('restart', { away: 0 });
  await live.perform('await', 'ready');
  expect(live.state().vm.state).toBe('running');
  const { variants } = await live.finish();
  expect(variants[0], JSON.stringify(variants[0]!.reason)).toMatchObject({ verdict: 'pass' });
}

describe('who may', () => {
  it(
    'has the token, and a page of this address',
    async () => {
      const { live, server, port } = await scene();
      expect(await upgrade(server)).toBe(101);
      expect(await upgrade(server, { headers: { Origin: `http://127.0.0.1:${port}` } })).toBe(101);
      for (const token of ['', 'wrong', server.token.slice(1), `${server.token}x`])
        expect(await upgrade(server, { token }), token).toBe(401);
      for (const headers of [
        { Origin: 'http://evil.example' },
        { Origin: 'null' },
        { Origin: `https://127.0.0.1:${port}` },
        { Origin: `http://127.0.0.1:${port + 1}` },
        // A name of another site's that leads here.
        { Host: `evil.example:${port}` },
        { Host: '127.0.0.1' },
      ])
        expect(await upgrade(server, { headers: headers as Record<string, string> }), JSON.stringify(headers)).toBe(
          403,
        );
      await undisturbed(live);
    },
    DEADLINE_MS,
  );

  // A port below 1024 is root's.
  it.skipIf(process.getuid!() !== 0)('need not name port 80, as browsers do not', async () => {
    const live = await drill({ sockets: [join(folder(), 'vhu.sock')] });
    // Of this machine as well, and nobody's port: not another test's either.
    const { pid } = process;
    const host = `127.${64 + ((pid >> 16) & 63)}.${(pid >> 8) & 255}.${pid & 255}`;
    const server = await served(live, { host, port: 80 });
    expect((await get(server, '/')).status).toBe(200);
    for (const name of [host, `${host}:80`, '127.0.0.1', 'localhost'])
      expect(await upgrade(server, { headers: { Host: name, Origin: `http://${name}` } }), name).toBe(101);
    for (const headers of [{ Host: 'evil.example' }, { Host: `${host}:81` }, { Host: host, Origin: `https://${host}` }])
      expect(await upgrade(server, { headers: headers as Record<string, string> }), JSON.stringify(headers)).toBe(403);
  });

  it(
    'gets the page without, and exports with it',
    async () => {
      const { server } = await scene();
      const page = await get(server, '/');
      expect(page.status).toBe(200);
      expect(page.headers['content-security-policy']).toContain("default-src 'none'");
      expect(page.body).not.toContain(server.token);
      for (const path of ['/export/timeline?port=p0', '/export/report'])
        for (const authorization of [undefined, 'Bearer wrong', `Basic ${server.token}`])
          expect((await get(server, path, authorization ? { authorization } : {})).status, path).toBe(401);
      const authorization = `Bearer ${server.token}`;
      const timeline = await get(server, '/export/timeline?port=p0', { authorization });
      expect(timeline.status).toBe(200);
      expect(JSON.parse(timeline.body.split('\n')[0]!)).toMatchObject({ type: 'run.begin', case: 'drill' });
      expect((await get(server, '/export/timeline?port=../../etc/passwd', { authorization })).status).toBe(404);
      expect((await get(server, '/../../../etc/passwd', { authorization })).status).toBe(404);
      expect((await get(server, '/', {}, 'POST')).status).toBe(405);
      expect((await get(server, '/', { Host: 'evil.example' })).status).toBe(403);
    },
    DEADLINE_MS,
  );

  it(
    'is every process of the user, by a unix socket, and no page',
    async () => {
      const live = await drill({ spawn: await spawned() });
      await live.perform('await', 'ready');
      const path = join(folder(), 'control.sock');
      const server = await served(live, { path });
      const messages: ServerMessage[] = [];
      const client = await ControlClient.connect({ address: server.address, token: server.token }, (message) =>
        messages.push(message),
      );
      expect(await client.ask('state')).toMatchObject({ vm: { state: 'running' } });
      expect(messages[0]).toMatchObject({ hello: { ports: ['p0'] } });
      client.close();
      // While it ends, and after.
      for (const _ of [1, 2]) {
        await expect(client.ask('state')).rejects.toMatchObject({ name: 'DrillError', code: 'ERR_CONTROL' });
        await client.closed;
      }
    },
    DEADLINE_MS,
  );
});

describe('a hostile client', () => {
  it(
    'sends what is no request',
    async () => {
      const { live, server } = await scene();
      const socket = new WebSocket(`${server.address.replace('http', 'ws')}control`, [
        PROTOCOL,
        `token.${server.token}`,
      ]);
      const answers: ServerMessage[] = [];
      socket.on('message', (data) => {
        const message = JSON.parse(String(data)) as ServerMessage;
        if ('ok' in message) answers.push(message);
      });
      await once(socket, 'open');
      const bad = [
        '',
        '{',
        'null',
        '[]',
        '{}',
        '{"verb":1}',
        '{"verb":"restart","extra":1}',
        '{"id":{},"verb":"state"}',
        '{"id":1,"verb":"__proto__"}',
        '{"id":2,"verb":"restart","params":{"away":-1}}',
        '{"id":3,"verb":"note","params":{"text":7}}',
      ];
      for (const text of bad) socket.send(text);
      while (answers.length < bad.length) await once(socket, 'message');
      for (const answer of answers)
        expect(answer).toMatchObject({ ok: false, error: { code: expect.stringMatching(/^ERR_(PARAMETERS|VERB)$/) } });
      // It is let stay: it may be a person's slip.
      expect(socket.readyState).toBe(WebSocket.OPEN);
      socket.terminate();
      await undisturbed(live);
    },
    DEADLINE_MS,
  );

  it.each([
    ['a message that is too long', 1009, (socket: WebSocket) => socket.send('x'.repeat(20_000))],
    ['bytes', 1003, (socket: WebSocket) => socket.send(Buffer.alloc(10))],
    [
      'too many messages',
      1008,
      (socket: WebSocket) => {
        for (let i = 0; i < 200; i++) socket.send('{"verb":"state"}');
      },
    ],
  ])(
    'with %s is sent away, and the others stay',
    async (_what, code, misbehave) => {
      const { live, server } = await scene();
      const good = await ControlClient.connect({ address: server.address, token: server.token });
      const socket = new WebSocket(`${server.address.replace('http', 'ws')}control`, [
        PROTOCOL,
        `token.${server.token}`,
      ]);
      await once(socket, 'open');
      const closed = once(socket, 'close');
      misbehave(socket);
      expect((await closed)[0]).toBe(code);
      expect(await good.ask('state')).toMatchObject({ over: false });
      good.close();
      await undisturbed(live);
    },
    DEADLINE_MS,
  );

  it(
    'opens a thousand connections, and none of them matters',
    async () => {
      const { live, server, port } = await scene();
      const good = await ControlClient.connect({ address: server.address, token: server.token });
      const sockets = Array.from({ length: 1000 }, () => connect(port, '127.0.0.1').on('error', () => {}));
      for (const [i, socket] of sockets.entries())
        socket.write(i % 2 ? 'GET / HTTP/1.1\r\n' : Buffer.from([0xff, 0x00, 0x16, 0x03]));
      // Whoever is too many is closed at once.
      await Promise.all(
        sockets
          .slice(200, 400)
          .map((socket) => new Promise((gone) => (socket.closed ? gone(true) : socket.once('close', gone)))),
      );
      expect(await good.ask('state')).toMatchObject({ vm: { state: 'running' } });
      for (const socket of sockets) socket.destroy();
      good.close();
      await undisturbed(live);
    },
    DEADLINE_MS,
  );

  it(
    'that does not read is dropped, and is not waited for',
    async () => {
      const { live, server } = await scene();
      const slow = new WebSocket(`${server.address.replace('http', 'ws')}control`, [PROTOCOL, `token.${server.token}`]);
      await once(slow, 'open');
      slow.pause();
      const dropped = once(slow, 'close');
      const { recorder } = live.ports[0]!;
      // Twice what the server keeps for a client and what the kernel's buffers take.
      let end = false;
      void dropped.then(() => {
        end = true;
      });
      const good = await ControlClient.connect({ address: server.address, token: server.token });
      for (let i = 0; i < 400 && !end; i++) {
        for (let k = 0; k < 40; k++) recorder.record({ type: 'drill.note', text: 'x'.repeat(1000) });
        await new Promise((resolve) => setImmediate(resolve));
        if (i % 20 === 0) await new Promise((resolve) => recorder.listen(resolve));
      }
      slow.resume();
      await dropped;
      expect(await good.ask('state')).toMatchObject({ over: false });
      good.close();
    },
    DEADLINE_MS,
  );
});

it(
  'tells events, states and the picture as they come, to all',
  async () => {
    const { live, server } = await scene();
    const told: ServerMessage[][] = [[], []];
    const clients = await Promise.all(
      told.map((list) =>
        ControlClient.connect({ address: server.address, token: server.token }, (message) => list.push(message)),
      ),
    );
    await clients[0]!.ask('note', { text: 'first' });
    await clients[1]!.ask('restart', { away: 10 });
    await happened(live, 'session.open', ({ session }) => session === 2);
    await clients[0]!.ask('picture', undefined, 'p0');
    await clients[0]!.ask('await', 'ready');
    await happened(live, 'qmp.heartbeat');
    await server.close();
    for (const list of told) {
      const events = list.flatMap(({ events = [] }) => events as { type: string; text: string; quiet?: true }[]);
      // Whoever shows events need not know which are everyday business, nor is told of the machine's pace.
      const types = (quiet?: true) => new Set(events.filter((one) => one.quiet === quiet).map(({ type }) => type));
      expect([...types(true)]).toContain('qmp.heartbeat');
      for (const type of types()) expect(type).not.toMatch(/^(pace|proc|qmp\.heartbeat|ring\.(kick|call))/);
      expect([...types()]).toEqual(expect.arrayContaining(['session.open', 'wire.recv', 'drill.note']));
      expect(events.map(({ text }) => text)).toEqual(
        expect.arrayContaining(['note: first', expect.stringContaining('session 2 opens')]),
      );
      expect(
        list.some(
          ({ state }) => (state as { ports: { p0: { session?: number } } } | undefined)?.ports.p0.session === 2,
        ),
      ).toBe(true);
    }
    expect(
      told[0]!.some(({ picture }) =>
        (picture as { drawing: { lanes: string[] } } | undefined)?.drawing.lanes.includes('chardev'),
      ),
    ).toBe(true);
    await Promise.all(clients.map(({ closed }) => closed));
  },
  DEADLINE_MS,
);

describe('a drill whose QEMU has not come', () => {
  it('goes on whatever HTTP asks for, and lets nobody keep it from its end who is refused', async () => {
    const live = await drill({ sockets: [join(folder(), 'vhu.sock')] });
    const server = await served(live);
    const { host, port } = new URL(server.address);
    const open = [`GET // HTTP/1.1\r\nHost: ${host}\r\n\r\n`, 'upgrade'].map((text) => {
      const socket = connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true });
      const upgrade = `GET /control HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`;
      socket.write(text === 'upgrade' ? upgrade : text);
      return socket;
    });
    const [path, refused] = await Promise.all(open.map(async (socket) => String((await once(socket, 'data'))[0])));
    expect(path).toContain(' 404 ');
    expect(refused).toContain(' 401 ');
    await server.close();
    for (const socket of open) socket.destroy();
  });

  it('has no report and no timeline yet, and still finds out who comes', async () => {
    const live = await drill({ sockets: [join(folder(), 'vhu.sock')] });
    await expect(live.interim()).rejects.toMatchObject({ code: 'ERR_STEP' });
    const server = await served(live);
    const timeline = await get(server, '/export/timeline', { authorization: `Bearer ${server.token}` });
    expect(timeline).toMatchObject({ status: 404, body: expect.stringContaining('no QEMU is known so far') });
    expect(live.ports[0]!.identified).toBe(false);
  });

  it('gives, and is judged by, whole lines of a timeline that is written to', async () => {
    let judged: (args: [string, number]) => void = () => {};
    const judging = new Promise<[string, number]>((resolve) => {
      judged = resolve;
    });
    const judge = async (...args: [string, number]) => {
      judged(args);
      return [];
    };
    const live = await drill({ sockets: [join(folder(), 'vhu.sock')], judge });
    const { writer } = live.ports[0]!;
    live.ports[0]!.identify({});
    writer.flush();
    const whole = readFileSync(writer.file, 'utf8');
    // As a reader may see it while more is written.
    appendFileSync(writer.file, '{"seq":');
    const server = await served(live);
    const authorization = `Bearer ${server.token}`;
    expect((await get(server, '/export/timeline', { authorization })).body).toBe(whole);
    const { variants } = await live.interim();
    expect((await live.judged(writer.file)).events).toHaveLength(whole.trim().split('\n').length);
    expect(variants).toHaveLength(1);
    expect((await get(server, '/export/report', { authorization })).body).not.toContain('No picture');
    expect(await judging).toEqual([writer.file, whole.length]);
    rmSync(writer.file);
    expect(await get(server, '/export/timeline', { authorization })).toMatchObject({
      status: 500,
      body: expect.stringContaining('ENOENT'),
    });
  });

  it('makes one report after the other, also after one that failed', async () => {
    const live = await drill({ sockets: [join(folder(), 'vhu.sock')] });
    const file = join(folder(), 'report.html');
    const said: string[] = [];
    const server = await ControlServer.begin({
      drill: live,
      listen: { host: '127.0.0.1', port: 0 },
      tester: 'test',
      report: async () => {
        said.push('begins');
        // Answered after the other requests are in.
        await get(server, '/');
        if (said.push('ends') === 2) throw new Error('no room');
        writeFileSync(file, 'report');
        return file;
      },
    });
    const authorization = `Bearer ${server.token}`;
    const answers = await Promise.all([1, 2, 3].map(() => get(server, '/export/report', { authorization })));
    await server.close();
    expect(said).toEqual(['begins', 'ends', 'begins', 'ends', 'begins', 'ends']);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 500]);
  });

  it('is waited for until stop', async () => {
    const live = await drill({ role: 'server', sockets: [join(folder(), 'vhu.sock')] });
    const up = live.perform('up');
    const refused = expect(up).rejects.toMatchObject({ code: 'ERR_STEP' });
    await live.perform('stop');
    await refused;
    expect(live.ports[0]!.busy).toBeUndefined();
    const peer = () => live.state().ports.p0!.peer;
    expect(peer()).toBe('waiting');
    await live.perform('down', {});
    expect(peer()).toBe('away');
    // It dials again, and is waited for again.
    const again = expect(live.perform('up')).rejects.toMatchObject({ code: 'ERR_STEP' });
    expect(peer()).toBe('waiting');
    await live.perform('stop');
    await again;
  });
});
