import { closeFd, type FdSocket, OsError } from '../../../src/os/index.js';
import {
  decodePayload,
  encodeMessage,
  encodePayload,
  FLAG_NEED_REPLY,
  FLAG_REPLY,
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

/** What is read at once while nobody waits for an answer. */
const CHUNK = 4096;

/** How often a peer that does not read is looked at. */
const READ_MS = 2;

/** The front-end's end of one connection: sends requests, and waits for one reply at a time. */
export class Connection {
  readonly #socket: FdSocket;
  readonly #checks: boolean;
  readonly #reader = new StreamReader({});
  /** What came while nobody waited for an answer: like QEMU, it is looked at when somebody does. */
  #stash = Buffer.alloc(0);
  /** Names whose reply nobody waits for. */
  readonly #unawaited = new Set<string>();
  #waiter: Waiter | undefined;
  #open = true;
  #onClosed: () => void = () => {};
  /** Resolves when the connection is closed, by either side. */
  readonly closed = new Promise<void>((resolve) => {
    this.#onClosed = resolve;
  });

  /** @param checks whether an answer is looked at before it is taken */
  constructor(socket: FdSocket, checks = true) {
    this.#socket = socket;
    this.#checks = checks;
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
      this.#guarded(() => this.#sift());
    });
  }

  /** Resolves when the peer has read all that was sent, or the connection is closed. */
  async taken(): Promise<void> {
    while (this.#open && !this.#socket.taken()) await new Promise((resolve) => setTimeout(resolve, READ_MS));
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
    this.#guarded(() => {
      while (this.#open) {
        const chunk = this.#socket.receive(CHUNK);
        if (chunk === 'again') break;
        if (chunk === 'eof') {
          this.close();
          return;
        }
        for (const fd of chunk.fds) closeFd(fd);
        this.#stash = Buffer.concat([this.#stash, chunk.bytes]);
      }
      this.#sift();
    });
  }

  /** Looks at what came, as far as somebody waits for an answer. */
  #sift(): void {
    while (this.#open && this.#waiter && this.#stash.length > 0) {
      const part = this.#stash.subarray(0, this.#reader.want);
      this.#stash = this.#stash.subarray(part.length);
      const message = this.#reader.push(part, []);
      if (message) this.#reply(message);
    }
  }

  #reply({ request, flags, payload }: RawMessage): void {
    const { name, resolve } = this.#waiter!;
    const came = nameOf('front-end', request);
    if (this.#checks && flags !== (VERSION | FLAG_REPLY))
      throw new WireError('ERR_WIRE_RESERVED', 'flags', 'vhost-user.c');
    if (came === name || !this.#checks) {
      // Whoever waits is told, also when this throws and the connection is closed.
      const answer = this.#decode(name, payload);
      this.#waiter = undefined;
      resolve(answer);
    } else if (!this.#unawaited.has(came)) {
      complain(`Received unexpected msg type. Expected ${name} received ${came}`);
      this.close();
    }
  }

  #decode(name: Outgoing['name'], payload: Buffer): Payload {
    try {
      return decodePayload(specByName(name), true, payload);
    } catch (error) {
      if (this.#checks) throw error;
      return { kind: 'u64', value: 0n };
    }
  }

  /** What breaks the protocol, or the connection, ends it. */
  #guarded(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (!(error instanceof OsError) && !(error instanceof WireError)) throw error;
      this.close();
    }
  }
}
