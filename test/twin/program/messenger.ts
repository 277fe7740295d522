import { type FrontEndName, type Payload, VHOST_USER_PROTOCOL_F_REPLY_ACK } from '../../../src/wire/index.js';
import type { Behaviour, Moment } from './behaviour.js';
import { type Connection, ConnectionLost } from './connection.js';
import { has } from './features.js';

export const NONE: Payload = { kind: 'none' };

/** Sends the front-end's messages on whatever connection there is, past the fault that may change them. */
export class Messenger {
  /** Protocol features acked on this connection. */
  protocolFeatures = 0n;
  #connection: Connection | undefined;
  #sent = new Map<string, number>();
  readonly #behaviour: Behaviour;
  readonly #moment: () => Omit<Moment, 'before'>;

  constructor(behaviour: Behaviour, moment: () => Omit<Moment, 'before'>) {
    this.#behaviour = behaviour;
    this.#moment = moment;
  }

  /** Starts over on a new connection. */
  attach(connection: Connection): void {
    this.#connection = connection;
    this.#sent = new Map();
    this.protocolFeatures = 0n;
  }

  get open(): boolean {
    return this.#connection?.open ?? false;
  }

  close(): void {
    this.#connection?.close();
  }

  /** Resolves when the back-end has read all that was sent, or is gone. */
  async taken(): Promise<void> {
    await this.#connection?.taken();
  }

  /** Whether a protocol feature is acked. */
  has(protocolFeature: number): boolean {
    return has(this.protocolFeatures, protocolFeature);
  }

  /** Asks for a u64. @throws ConnectionLost */
  async ask(name: FrontEndName): Promise<bigint> {
    const reply = await this.exchange(name, NONE);
    return reply?.kind === 'u64' ? reply.value : 0n;
  }

  /** Sends a message and waits for the reply that the spec gives it. @throws ConnectionLost */
  exchange(name: FrontEndName, payload: Payload, fds: readonly number[] = []): Promise<Payload | undefined> {
    return this.#pass(name, payload, fds, false, true);
  }

  /**
   * Sends a message without a reply of its own; `acked` = its success is confirmed where REPLY_ACK allows to ask.
   * @throws ConnectionLost, also when the back-end says that it failed
   */
  async send(name: FrontEndName, payload: Payload = NONE, fds: readonly number[] = [], acked = false): Promise<void> {
    const needReply = acked && this.has(VHOST_USER_PROTOCOL_F_REPLY_ACK);
    const reply = await this.#pass(name, payload, fds, needReply, needReply);
    if (reply?.kind === 'u64' && reply.value !== 0n) throw new ConnectionLost(`${name} was refused`);
  }

  /** Runs messages that may meet a dead connection. @returns whether they went through */
  async attempt(messages: () => Promise<unknown>): Promise<boolean> {
    try {
      await messages();
      return true;
    } catch (error) {
      if (!(error instanceof ConnectionLost)) throw error;
      return false;
    }
  }

  async #pass(name: FrontEndName, payload: Payload, fds: readonly number[], needReply: boolean, waits: boolean) {
    const connection = this.#connection;
    if (!connection) throw new ConnectionLost('not connected');
    const before = this.#sent.get(name) ?? 0;
    this.#sent.set(name, before + 1);
    const message = { name, payload, fds, needReply, waits };
    let reply: Payload | undefined;
    for (const outgoing of this.#behaviour.outgoing(message, { ...this.#moment(), before }))
      reply = await connection.exchange(outgoing);
    return reply;
  }
}
