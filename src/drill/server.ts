import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { readFileSync, rmSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type WebSocket, WebSocketServer } from 'ws';
import { z } from 'zod';
import { profiles } from '../peer/index.js';
import { describeEvent } from '../report/index.js';
import type { Event, Json } from '../timeline/index.js';
import type { Drill } from './drill.js';
import { DrillError } from './error.js';
import { drawPort } from './picture.js';
import type { Port } from './port.js';
import { isQuiet } from './quiet.js';
import { controlVerbs } from './verbs.js';

/** The subprotocol, with its version. */
export const PROTOCOL = 'vhost-reconnect.v1';
const TOKEN_PREFIX = 'token.';

/** Bytes of one message of a client; the longest honest one is a note. */
const MAX_MESSAGE = 16 << 10;
/** Messages of one client a second, over a burst. */
const RATE = 20;
const BURST = 60;
/** Bytes that a client may leave unread before it is dropped. */
const MAX_BEHIND = 4 << 20;
const MAX_CLIENTS = 16;
/** Connections in all, most of which have not said anything yet. */
const MAX_CONNECTIONS = 64;
const HTTP_PORT = 80;
const HEADERS_MS = 5000;
const PING_MS = 15_000;
const CLOSE_MS = 2000;
const EVENTS_MS = 100;
const STATE_MS = 200;
const RECENT = 200;

/** Close codes (RFC 6455, 7.4.1). */
const POLICY = 1008;

/** Where a control server listens. */
export type Listen = { path: string } | { host: string; port: number };

export interface ControlOptions {
  drill: Drill;
  listen: Listen;
  /** Names by which a browser may call it, beside the loopback's: of a server that is exposed. */
  hosts?: readonly string[];
  /** What hello tells of the tester. */
  tester: string;
  /** Makes the report as it would be if the drill ended now: the path of a file. */
  report(): Promise<string>;
}

const request = z.strictObject({
  id: z.union([z.string().max(100), z.number()]).optional(),
  verb: z.string().max(100),
  port: z.string().max(100).optional(),
  params: z.json().optional(),
});

const asset = (path: string, type: string) => ({ body: () => readFileSync(new URL(path, import.meta.url)), type });
/** All that the page needs; it loads nothing else. */
const assets: Readonly<Record<string, { body: () => Buffer; type: string }>> = {
  '/': asset('./page/index.html', 'text/html; charset=utf-8'),
  '/theme.css': asset('../report/page/theme.css', 'text/css; charset=utf-8'),
  '/drill.css': asset('./page/drill.css', 'text/css; charset=utf-8'),
  '/drill.js': asset('./page/drill.js', 'text/javascript; charset=utf-8'),
  '/timeline-picture.js': asset('../report/page/timeline-picture.js', 'text/javascript; charset=utf-8'),
  '/timeline-picture.css': asset('../report/page/timeline-picture.css', 'text/css; charset=utf-8'),
};

const HEADERS = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cache-Control': 'no-store',
  'Cross-Origin-Resource-Policy': 'same-origin',
} as const;

/** A client with a right to be there. */
interface Client {
  socket: WebSocket;
  /** Messages that it may still send. */
  allowance: number;
  alive: boolean;
}

/** Serves the page, and the control protocol of docs/drill.md by WebSocket. What a client does wrong ends that client only. */
export class ControlServer {
  /** What a client needs to be let in. */
  readonly token = randomBytes(24).toString('base64url');
  readonly #o: ControlOptions;
  readonly #http: Server;
  readonly #ws: WebSocketServer;
  readonly #clients = new Set<Client>();
  readonly #timers: NodeJS.Timeout[] = [];
  #unlisten = () => {};
  /** Resolves when the last report that was asked for is written, or failed. */
  #reported: Promise<unknown> = Promise.resolve();
  #pending: object[] = [];
  #changed = true;

  private constructor(options: ControlOptions) {
    this.#o = options;
    this.#http = createServer({ headersTimeout: HEADERS_MS, requestTimeout: HEADERS_MS }, (req, res) =>
      this.#serve(req, res),
    );
    // Such as no descriptor left for one more connection.
    this.#http.on('error', () => {});
    this.#http.maxConnections = MAX_CONNECTIONS;
    this.#http.on('upgrade', (req, socket, head) => this.#upgrade(req, socket, head));
    this.#http.on('clientError', (_error, socket) => socket.destroy());
    this.#ws = new WebSocketServer({
      noServer: true,
      maxPayload: MAX_MESSAGE,
      perMessageDeflate: false,
      handleProtocols: () => PROTOCOL,
    });
  }

  /** Begins to serve. @throws DrillError ERR_CONTROL when it cannot listen there */
  static async begin(options: ControlOptions): Promise<ControlServer> {
    const server = new ControlServer(options);
    const { listen } = options;
    await new Promise<void>((resolve, reject) => {
      server.#http.once('error', (cause: NodeJS.ErrnoException) =>
        reject(
          new DrillError(
            'ERR_CONTROL',
            `cannot serve the control protocol: ${cause.message}`,
            'choose another --listen',
          ),
        ),
      );
      const umask = process.umask(0o077);
      if ('path' in listen) server.#http.listen(listen.path, resolve);
      else server.#http.listen(listen.port, listen.host, resolve);
      process.umask(umask);
    });
    server.#begin();
    return server;
  }

  /** The page's address without the token; of a unix socket its path. */
  get address(): string {
    const { listen } = this.#o;
    if ('path' in listen) return `unix:${listen.path}`;
    const { port } = this.#http.address() as AddressInfo;
    return `http://${listen.host.includes(':') ? `[${listen.host}]` : listen.host}:${port}/`;
  }

  /** The page's address; whoever has it may do everything. */
  get url(): string {
    return `${this.address}#token=${this.token}`;
  }

  /** Tells the clients all that there is to tell, and ends. */
  async close(): Promise<void> {
    this.#unlisten();
    for (const timer of this.#timers) clearInterval(timer);
    this.#sendEvents();
    this.#broadcast({ state: this.#o.drill.state() });
    for (const { socket } of this.#clients) socket.close(1001, 'the drill is over');
    const closed = new Promise<void>((resolve) => this.#http.close(() => resolve()));
    // What was sent last is to arrive; who does not answer the closing handshake is not waited for.
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, CLOSE_MS);
    });
    const left = [...this.#clients].map(({ socket }) => new Promise((resolve) => socket.once('close', resolve)));
    await Promise.race([Promise.all(left), late]);
    clearTimeout(timer);
    for (const { socket } of this.#clients) socket.terminate();
    this.#http.closeAllConnections();
    await closed;
    await this.#reported;
    const { listen } = this.#o;
    if ('path' in listen) rmSync(listen.path, { force: true });
  }

  #begin(): void {
    const { drill } = this.#o;
    this.#unlisten = drill.listen((port, event) => {
      this.#changed = true;
      if (this.#clients.size > 0 && event.type !== 'pace') this.#pending.push(shown(port, event));
    });
    this.#timers.push(
      setInterval(() => this.#sendEvents(), EVENTS_MS),
      setInterval(() => {
        if (this.#clients.size === 0) return;
        // While QMP is silent time is all that changes.
        const state = drill.state();
        if (!this.#changed && state.vm.silentForMs === undefined) return;
        this.#changed = false;
        this.#broadcast({ state });
      }, STATE_MS),
      setInterval(() => {
        for (const client of this.#clients) client.allowance = Math.min(BURST, client.allowance + RATE);
      }, 1000),
      setInterval(() => {
        for (const client of this.#clients) {
          if (!client.alive) client.socket.terminate();
          client.alive = false;
          client.socket.ping();
        }
      }, PING_MS),
    );
  }

  // --- who may --------------------------------------------------------------------------------------------------------------

  /** Whether a request names this server as it is: a page of another site that was led here by DNS does not. */
  #isOurs({ headers }: IncomingMessage): boolean {
    const { listen, hosts = [] } = this.#o;
    if ('path' in listen) return headers.origin === undefined;
    const { port } = this.#http.address() as AddressInfo;
    const names = [
      listen.host.includes(':') ? `[${listen.host}]` : listen.host,
      '127.0.0.1',
      'localhost',
      '[::1]',
      ...hosts,
    ];
    // Who asks at the port that is HTTP's own need not name it, and browsers do not.
    const allowed = names.flatMap((name) => [`${name}:${port}`, ...(port === HTTP_PORT ? [name] : [])]);
    const { host = '', origin } = headers;
    if (!allowed.includes(host)) return false;
    return origin === undefined || origin === `http://${host}`;
  }

  #hasToken(given: string | undefined): boolean {
    const hash = (text: string) => createHash('sha256').update(text).digest();
    return given !== undefined && timingSafeEqual(hash(given), hash(this.token));
  }

  // --- the page -------------------------------------------------------------------------------------------------------------

  #serve(req: IncomingMessage, res: ServerResponse): void {
    const refuse = (code: number, text: string) =>
      res.writeHead(code, { ...HEADERS, 'Content-Type': 'text/plain; charset=utf-8' }).end(`${text}\n`);
    if (!this.#isOurs(req)) return void refuse(403, 'this is not the address of the drill');
    if (req.method !== 'GET' && req.method !== 'HEAD') return void refuse(405, 'only GET is served');
    // As it stands: not every target that HTTP allows is a URL.
    const [path = '/', query = ''] = (req.url ?? '/').split('?', 2);
    const page = Object.hasOwn(assets, path) ? assets[path] : undefined;
    if (page) return void res.writeHead(200, { ...HEADERS, 'Content-Type': page.type }).end(page.body());
    if (!path.startsWith('/export/')) return void refuse(404, 'there is nothing here');
    const given = /^Bearer (\S+)$/.exec(req.headers.authorization ?? '')?.[1];
    if (!this.#hasToken(given)) return void refuse(401, 'the token is missing or wrong');
    this.#export(path, new URLSearchParams(query), res).catch((error: unknown) => {
      if (!res.headersSent) refuse(error instanceof DrillError ? 404 : 500, (error as Error).message);
      else res.destroy();
    });
  }

  /** One after the other: all are written to one place. */
  #report(): Promise<string> {
    const written = this.#reported.then(() => this.#o.report());
    this.#reported = written.catch(() => {});
    return written;
  }

  async #export(path: string, query: URLSearchParams, res: ServerResponse): Promise<void> {
    const { drill } = this.#o;
    const send = async (file: string, type: string, name: string, bytes = Infinity) => {
      const opened = await open(file);
      await pipeline(
        opened.createReadStream({ end: bytes - 1 }),
        res.writeHead(200, {
          ...HEADERS,
          'Content-Type': type,
          'Content-Disposition': `attachment; filename="${name}"`,
        }),
      );
    };
    if (path === '/export/report') return send(await this.#report(), 'text/html; charset=utf-8', 'drill-report.html');
    const port = drill.ports.find(({ name }) => name === (query.get('port') ?? 'p0'));
    if (path !== '/export/timeline' || !port)
      throw new DrillError('ERR_PORT', 'there are /export/report and /export/timeline?port=p0');
    port.writer.flush();
    const { file, size } = port.writer;
    if (size === 0)
      throw (
        drill.incomplete ?? new DrillError('ERR_STEP', `nothing is stored of ${port.name}: no QEMU is known so far`)
      );
    return send(file, 'application/x-ndjson', `drill-${port.name}.jsonl`, size);
  }

  // --- the protocol ---------------------------------------------------------------------------------------------------------

  #upgrade(req: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => socket.destroy());
    // Who is refused and does not hang up would keep the server from its end.
    const refuse = (status: string) =>
      socket
        .once('finish', () => socket.destroy())
        .end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
    if (!this.#isOurs(req) || req.url !== '/control') return void refuse('403 Forbidden');
    const offered = (req.headers['sec-websocket-protocol'] ?? '').split(',').map((word) => word.trim());
    const token = offered.find((word) => word.startsWith(TOKEN_PREFIX))?.slice(TOKEN_PREFIX.length);
    if (!offered.includes(PROTOCOL) || !this.#hasToken(token)) return void refuse('401 Unauthorized');
    if (this.#clients.size >= MAX_CLIENTS) return void refuse('503 Service Unavailable');
    this.#ws.handleUpgrade(req, socket, head, (accepted) => this.#welcome(accepted));
  }

  #welcome(socket: WebSocket): void {
    const client: Client = { socket, allowance: BURST, alive: true };
    this.#clients.add(client);
    socket.on('close', () => this.#clients.delete(client));
    // A message that is too long, or no text: ws closes with the code for it.
    socket.on('error', () => {});
    socket.on('pong', () => {
      client.alive = true;
    });
    socket.on('message', (data, binary) => {
      client.alive = true;
      // One that was told to go may go on sending until it hears of it.
      if (socket.readyState !== socket.OPEN) return undefined;
      if (binary) return socket.close(1003, 'text only');
      if (--client.allowance < 0) return socket.close(POLICY, 'too many messages');
      void this.#receive(client, String(data));
      return undefined;
    });
    const { drill, tester } = this.#o;
    this.#send(client, {
      hello: {
        tester,
        startedAt: drill.startedAt.toISOString(),
        verbs: controlVerbs.map(({ name, help, schema, confirm }) => ({
          name,
          help,
          ...(confirm && { confirm }),
          schema: z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }),
        })),
        profiles: Object.keys(profiles),
        ports: drill.ports.map(({ name }) => name),
        unknown: drill.unknown,
      },
    });
    this.#send(client, { state: drill.state() });
    const recent = drill.ports.flatMap((port) =>
      port.recorder.events
        .filter(({ type }) => type !== 'pace')
        .slice(-RECENT)
        .map((event) => shown(port, event)),
    );
    this.#send(client, { events: recent });
  }

  async #receive(client: Client, text: string): Promise<void> {
    let id: string | number | undefined;
    try {
      const { verb, port, params, ...rest } = parse(text);
      id = rest.id;
      const result = await this.#perform(client, verb, port, params);
      this.#send(client, { ...(id !== undefined && { id }), ok: true, ...(result !== undefined && { result }) });
    } catch (error) {
      const known = error instanceof Error && 'code' in error;
      const { message, hint } = error as { message: string; hint?: string };
      this.#send(client, {
        ...(id !== undefined && { id }),
        ok: false,
        error: { code: known ? error.code : 'ERR_BUG', message, ...(hint === undefined ? {} : { hint }) },
      });
      if (!known) this.#o.drill.ports[0]!.recorder.record({ type: 'tester.trouble', what: `control: ${message}` });
    }
  }

  async #perform(client: Client, verb: string, port: string | undefined, params: Json | undefined) {
    const { drill } = this.#o;
    if (verb === 'state') return drill.state() as unknown as Json;
    if (verb === 'picture') {
      const chosen = drill.ports.find(({ name }) => name === (port ?? drill.ports[0]!.name));
      if (!chosen) throw new DrillError('ERR_PORT', `there is no port ${port}`);
      this.#send(client, { picture: { port: chosen.name, drawing: drawPort(chosen) } });
      return undefined;
    }
    return drill.perform(verb, params, port);
  }

  #sendEvents(): void {
    if (this.#pending.length > 0) this.#broadcast({ events: this.#pending });
    this.#pending = [];
  }

  #broadcast(message: object): void {
    if (this.#clients.size === 0) return;
    const text = JSON.stringify(message);
    for (const client of this.#clients) this.#sendText(client, text);
  }

  #send(client: Client, message: object): void {
    this.#sendText(client, JSON.stringify(message));
  }

  /** One that does not read is let go: it must not fill the tester's memory. */
  #sendText({ socket }: Client, text: string): void {
    if (socket.readyState !== socket.OPEN) return;
    if (socket.bufferedAmount > MAX_BEHIND) socket.terminate();
    else socket.send(text);
  }
}

/** @throws DrillError ERR_PARAMETERS */
function parse(text: string): z.output<typeof request> & { params?: Json } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new DrillError(
      'ERR_PARAMETERS',
      'this is no JSON',
      'send {"id": 1, "verb": "restart", "params": {"away": "2s"}}',
    );
  }
  const result = request.safeParse(value);
  if (result.success) return result.data as z.output<typeof request> & { params?: Json };
  const [issue] = result.error.issues;
  throw new DrillError('ERR_PARAMETERS', `${issue!.path.join('.') || 'message'}: ${issue!.message}`);
}

const shown = (port: Port, event: Event) => ({
  port: port.name,
  seq: event.seq,
  t: event.t,
  type: event.type,
  text: describeEvent(event),
  ...(isQuiet(event) && { quiet: true }),
  event,
});
