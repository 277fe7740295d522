import { join } from 'node:path';
import { closeFd, FdSocket, type Listener, listenUnix, OsError } from '../../../src/os/index.js';
import { pathAppears } from '../../../src/peer/path-appears.js';
import { Recorder, type Role } from '../../../src/timeline/index.js';
import {
  decodePayload,
  encodeMessage,
  nameOf,
  type RawMessage,
  StreamReader,
  specById,
  toJson,
} from '../../../src/wire/index.js';
import type { BackEnd } from '../back-end.js';
import type { Ovs } from './ovs.js';

/**
 * A real OVS as the back-end of a course: it stands between QEMU and OVS, hands every message on with its descriptors,
 * and records what it hands on. What the back-end sends on its own channel goes past it.
 */
export class Relay implements BackEnd {
  readonly path: string;
  readonly recorder = new Recorder();
  readonly #role: Role;
  readonly #ovs: Ovs;
  #listener: Listener | undefined;
  #sessions = 0;
  #session: { qemu: FdSocket; back: FdSocket } | undefined;

  constructor(role: Role, ovs: Ovs, dir: string) {
    this.#role = role;
    this.#ovs = ovs;
    this.path = join(dir, 'qemu');
  }

  async arrive(startup: boolean): Promise<void> {
    if (this.#role === 'client') {
      const appeared = pathAppears(this.#ovs.socket);
      await this.#ovs.start(appeared.done).finally(appeared.giveUp);
      await this.#listen(this.path);
      return;
    }
    if (startup) await pathAppears(this.path).done;
    this.#listener ?? (await this.#listen(this.#ovs.socket));
    await this.#ovs.start(this.#recorded('session.open'));
  }

  async leave(how: 'kill' | 'exit'): Promise<void> {
    // Where OVS listens QEMU must find nobody when it dials again.
    if (this.#role === 'client') await this.#unlisten();
    const closed = this.#recorded('session.close');
    await (how === 'kill' ? this.#ovs.kill() : this.#ovs.exit());
    await closed;
  }

  unread(): number {
    return this.#session?.qemu.unread() ?? 0;
  }

  async close(): Promise<void> {
    await this.#unlisten();
    this.#end('peer');
  }

  /** Resolves with the next such event. */
  #recorded(type: 'session.open' | 'session.close'): Promise<void> {
    return new Promise((resolve) => {
      const unlisten = this.recorder.listen((event) => {
        if (event.type !== type) return;
        unlisten();
        resolve();
      });
    });
  }

  async #listen(path: string): Promise<void> {
    this.#listener = await listenUnix(path, (socket) => void this.#accept(socket), { replace: true });
  }

  async #unlisten(): Promise<void> {
    await this.#listener?.close();
    this.#listener = undefined;
  }

  /** Dials the other side for who dialled; a side that is not there is one that hangs up. */
  async #accept(socket: FdSocket): Promise<void> {
    let other: FdSocket;
    try {
      other = await FdSocket.dial(this.#role === 'server' ? this.path : this.#ovs.socket);
    } catch (error) {
      socket.close();
      if (error instanceof OsError) return;
      throw error;
    }
    this.#session = this.#role === 'server' ? { qemu: other, back: socket } : { qemu: socket, back: other };
    const { qemu, back } = this.#session;
    const session = ++this.#sessions;
    this.recorder.record({
      type: 'session.open',
      session,
      by: this.#role === 'server' ? 'dial' : 'accept',
      pid: qemu.peerPid,
    });
    let index = 0;
    this.#pass(qemu, back, 'front-end', (message) => {
      const { request, flags, payload, fds } = message;
      const body = bodyOf(message, false);
      const head = { session, index: index++, request, name: nameOf('front-end', request), flags };
      this.recorder.record({ type: 'wire.recv', ...head, size: payload.length, body, fds: fds.length });
    });
    this.#pass(back, qemu, 'peer', (message) => {
      const { request, flags, payload, fds } = message;
      const body = bodyOf(message, true);
      const head = { session, request, name: nameOf('front-end', request), flags };
      this.recorder.record({
        type: 'wire.send',
        channel: 'reply',
        ...head,
        size: payload.length,
        body,
        fds: fds.length,
      });
    });
  }

  #pass(from: FdSocket, to: FdSocket, side: 'front-end' | 'peer', record: (message: RawMessage) => void): void {
    const reader = new StreamReader();
    // Whoever has gone is seen where it is read.
    to.onError(() => {});
    from.onReadable(() => {
      for (;;) {
        const chunk = receive(from, reader.want);
        if (chunk === 'again') return;
        if (chunk === 'gone') return this.#end(side);
        const message = reader.push(chunk.bytes, chunk.fds);
        if (!message) continue;
        record(message);
        to.send(encodeMessage(message), message.fds);
        message.fds.forEach(closeFd);
      }
    });
  }

  #end(by: 'front-end' | 'peer'): void {
    const session = this.#session;
    if (!session) return;
    this.#session = undefined;
    session.qemu.close();
    session.back.close();
    const how = by === 'peer' ? 'close' : 'eof';
    this.recorder.record({ type: 'session.close', session: this.#sessions, by, how });
  }
}

/** What there is to read; a connection that broke is one that ended. */
function receive(socket: FdSocket, max: number): Exclude<ReturnType<FdSocket['receive']>, 'eof'> | 'gone' {
  try {
    const received = socket.receive(max);
    return received === 'eof' ? 'gone' : received;
  } catch (error) {
    if (error instanceof OsError && error.code === 'ECONNRESET') return 'gone';
    throw error;
  }
}

function bodyOf({ request, payload }: RawMessage, isReply: boolean) {
  const spec = specById('front-end', request);
  return spec ? toJson(decodePayload(spec, isReply, payload)) : { bytes: payload.toString('hex') };
}
