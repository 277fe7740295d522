import { closeFd, type FdSocket, OsError } from '../../../src/os/index.js';
import {
  decodePayload,
  encodeMessage,
  encodePayload,
  FLAG_NEED_REPLY,
  nameOf,
  type Payload,
  type RawMessage,
  StreamReader,
  specByName,
  VERSION,
  WireError,
} from '../../../src/wire/index.js';
import type { Outgoing } from './behaviour.js';
import { complain } from './stderr.js';

/** The back-end is gone, or answered nonsense: the connection is closed. */
export class ConnectionLost extends Error {
  override name = 'ConnectionLost';
}

interface Waiter {
  name: Outgoing['name'];
  resolve(payload: Payload): void;
  reject(error: ConnectionLost): void;
}

/** The front-end's end of one connection: sends requests, and waits for one reply at a time. */
export class Connection {
  readonly #socket: FdSocket;
  readonly #reader = new StreamReader({});
  /** Names whose reply nobody waits for. */
  readonly #unawaited = new Set<string>();
  #waiter: Waiter | undefined;
  #open = true;
  #onClosed: () => void = () => {};
  /** Resolves when the connection is closed, by either side. */
  readonly closed = new Promise<void>((resolve) => {
    this.#onClosed = resolve;
  });

  constructor(socket: FdSocket) {
    this.#socket = socket;
    socket.onError(() => this.close());
    socket.onReadable(() => this.#readable());
  }

  get open(): boolean {
    return this.#open;
  }

  /** Sends a message. @returns the reply, or undefined where none is waited for. @throws ConnectionLost */
  exchange({ name, payload, fds, needReply, waits }: Outgoing): Promise<Payload | undefined> {
    if (!this.#open) return Promise.reject(new ConnectionLost(`${name} to a closed connection`));
    const flags = VERSION | (needReply ? FLAG_NEED_REPLY : 0);
    const { id } = specByName(name);
    this.#socket.send(encodeMessage({ request: id, flags, payload: encodePayload(payload) }), [...fds]);
    if (!waits) {
      this.#unawaited.add(name);
      return Promise.resolve(undefined);
    }
    return new Promise((resolve, reject) => {
      this.#waiter = { name, resolve, reject };
    });
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#socket.close();
    for (const fd of this.#reader.pending.fds) closeFd(fd);
    if (this.#waiter) {
      complain(`Failed to read msg header. Read 0 instead of 12. Original request ${this.#waiter.name}.`);
      this.#waiter.reject(new ConnectionLost(`no reply to ${this.#waiter.name}`));
    }
    this.#onClosed();
  }

  #readable(): void {
    try {
      while (this.#open) {
        const chunk = this.#socket.receive(this.#reader.want);
        if (chunk === 'again') return;
        if (chunk === 'eof') {
          this.close();
          return;
        }
        const message = this.#reader.push(chunk.bytes, chunk.fds);
        if (message) this.#reply(message);
      }
    } catch (error) {
      if (!(error instanceof OsError) && !(error instanceof WireError)) throw error;
      this.close();
    }
  }

  #reply({ request, payload, fds }: RawMessage): void {
    for (const fd of fds) closeFd(fd);
    const name = nameOf('front-end', request);
    if (this.#waiter?.name === name) {
      const { resolve } = this.#waiter;
      this.#waiter = undefined;
      resolve(decodePayload(specByName(name), true, payload));
    } else if (!this.#unawaited.has(name)) {
      complain(`Received unexpected msg type. Expected ${this.#waiter?.name ?? 'none'} received ${name}`);
      this.close();
    }
  }
}
