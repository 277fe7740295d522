import { EventEmitter, once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { closeFd, EventFd, FdSocket, type Listener, listenUnix, OsError } from '../../../src/os/index.js';
import { SplitQueue } from '../../../src/virtio/index.js';
import {
  bit,
  decodePayload,
  encodeMessage,
  encodePayload,
  FLAG_NEED_REPLY,
  FLAG_REPLY,
  nameOf,
  type Payload,
  type RawMessage,
  StreamReader,
  specById,
  VERSION,
} from '../../../src/wire/index.js';
import { MappedMemory } from './mapped-memory.js';

/** An MTU, rings with indirect descriptors, mergeable buffers, status, multiqueue, protocol features, version 1. */
const FEATURES = [3, 15, 16, 17, 21, 22, 28, 30, 32].reduce((sum, n) => sum | bit(n), 0n);
/** MQ, LOG_SHMFD, RARP, REPLY_ACK, MTU, BACKEND_REQ, STATUS. */
const PROTOCOL_FEATURES = 0x1003fn;

/** A message received. */
export interface Seen {
  name: string;
  payload: Payload;
  fds: number;
  needReply: boolean;
}

interface Ring {
  num: number;
  base: number;
  addresses?: { desc: bigint; avail: bigint; used: bigint };
  queue: SplitQueue | undefined;
  kick: EventFd | undefined;
  call?: EventFd;
  enabled: boolean;
}

/** Just enough of a vhost-user back-end to see what the twin does: independent of the product's peer. */
export class TinyBackEnd extends EventEmitter {
  /** Messages of the current connection. */
  seen: Seen[] = [];
  /** Frames taken from TX rings, over all connections. */
  readonly frames: Buffer[] = [];
  connections = 0;
  /** Messages with this name are swallowed, and nothing is answered any more. */
  stallAt = '';
  /** Messages with this name get no answer, and all others do. */
  muteAt = '';
  /** The number in answers, where it is not the request's. */
  answerAs: number | undefined;
  /** The answer to GET_QUEUE_NUM. */
  queuePairs = 8n;
  /** What it offers. */
  features = FEATURES;
  protocolFeatures = PROTOCOL_FEATURES;
  /** The answer to GET_MAX_MEM_SLOTS. */
  slots = 8n;
  /** This message is refused, where an acknowledgement is wanted. */
  refuseAt = '';
  /** Nothing is read any more. */
  deaf = false;
  /** Rings are set up and not looked at: what is wrong with them stays without effect. */
  lazy = false;
  readonly rings = new Map<number, Ring>();
  #socket: FdSocket | undefined;
  /** Connections beside the first, which nobody serves. */
  readonly #others: FdSocket[] = [];
  #listener: Listener | undefined;
  readonly #memory = new MappedMemory();
  #stalled = false;
  #status = 0n;
  /** The channel for its own requests. */
  #channel: FdSocket | undefined;

  constructor(readonly path: string) {
    super();
  }

  /** Listens (client role). */
  async listen(): Promise<void> {
    this.#listener = await listenUnix(this.path, (socket) => this.#attach(socket), { replace: true });
  }

  async unlisten(): Promise<void> {
    await this.#listener?.close();
  }

  /** Dials (server role), until somebody listens. */
  async dial(): Promise<void> {
    for (;;) {
      try {
        this.#attach(await FdSocket.dial(this.path));
        return;
      } catch (error) {
        if (!(error instanceof OsError)) throw error;
        await delay(10);
      }
    }
  }

  /** There is no connection. */
  get gone(): boolean {
    return this.#socket === undefined;
  }

  /** Names of the messages seen on this connection. */
  get names(): string[] {
    return this.seen.map(({ name }) => name);
  }

  /** Payloads of all messages of one name on this connection, in order. */
  payloads<K extends Payload['kind']>(name: string, kind: K): Extract<Payload, { kind: K }>[] {
    return this.seen
      .filter((message) => message.name === name && message.payload.kind === kind)
      .map(({ payload }) => payload as Extract<Payload, { kind: K }>);
  }

  /** Resolves once `check` holds; looked at after every message and every frame. */
  async until(check: () => boolean): Promise<void> {
    while (!check()) await once(this, 'change');
  }

  /** Leaves: everything of the connection goes. */
  leave(): void {
    this.#socket?.close();
    this.#socket = undefined;
    this.#forget();
  }

  /** Puts a frame into the guest's next buffer of an RX ring, and calls. */
  inject(index: number, frame: Buffer): void {
    const ring = this.rings.get(index)!;
    const chain = ring.queue!.pop()!;
    ring.queue!.push(chain, ring.queue!.writeIn(chain, frame));
    ring.queue!.publish();
    ring.call?.signal();
  }

  /** Asks the front-end for a translation. @returns its answer, undefined when there was none in `ms` */
  async request(ms: number): Promise<bigint | undefined> {
    const channel = this.#channel!;
    const answer = new Promise<bigint>((resolve) => {
      channel.onReadable(() => {
        const chunk = channel.receive(20);
        if (typeof chunk === 'object' && chunk.bytes.length === 20) resolve(chunk.bytes.readBigUInt64LE(12));
      });
    });
    channel.send(encodeMessage({ request: 1, flags: VERSION | FLAG_NEED_REPLY, payload: Buffer.alloc(32) }));
    return Promise.race([answer, delay(ms, undefined)]);
  }

  async close(): Promise<void> {
    this.leave();
    for (const socket of this.#others.splice(0)) socket.close();
    await this.unlisten();
  }

  #attach(socket: FdSocket): void {
    this.connections++;
    this.emit('change');
    if (this.#socket) {
      this.#others.push(socket);
      return;
    }
    this.#socket = socket;
    this.seen = [];
    this.#stalled = false;
    this.#status = 0n;
    const reader = new StreamReader({});
    socket.onError(() => this.leave());
    socket.onReadable(() => {
      try {
        while (this.#socket === socket) {
          if (this.deaf) {
            socket.pauseReading();
            return;
          }
          const chunk = socket.receive(reader.want);
          if (chunk === 'again') return;
          if (chunk === 'eof') {
            this.leave();
            break;
          }
          const message = reader.push(chunk.bytes, chunk.fds);
          if (message) this.#receive(message);
        }
      } catch (error) {
        if (!(error instanceof OsError)) throw error;
        this.leave();
      }
      this.emit('change');
    });
  }

  #receive({ request, flags, payload: bytes, fds }: RawMessage): void {
    const payload = decodePayload(specById('front-end', request)!, false, bytes);
    const name = nameOf('front-end', request);
    const needReply = (flags & FLAG_NEED_REPLY) !== 0;
    this.seen.push({ name, payload, fds: fds.length, needReply });
    this.emit('change');
    if (name === this.stallAt) this.#stalled = true;
    if (this.#stalled || name === this.muteAt) return;
    const reply =
      this.#handle(name, payload, fds) ??
      (needReply ? { kind: 'u64' as const, value: name === this.refuseAt ? 1n : 0n } : undefined);
    if (!reply) return;
    const answer = { request: this.answerAs ?? request, flags: VERSION | FLAG_REPLY, payload: encodePayload(reply) };
    this.#socket?.send(encodeMessage(answer));
  }

  #handle(name: string, payload: Payload, fds: number[]): Payload | undefined {
    const u64 = (value: bigint): Payload => ({ kind: 'u64', value });
    switch (name) {
      case 'GET_FEATURES':
        return u64(this.features);
      case 'GET_PROTOCOL_FEATURES':
        return u64(this.protocolFeatures);
      case 'GET_QUEUE_NUM':
        return u64(this.queuePairs);
      case 'GET_MAX_MEM_SLOTS':
        return u64(this.slots);
      case 'GET_STATUS':
        return u64(this.#status);
      case 'SET_STATUS':
        if (payload.kind === 'u64') this.#status = payload.value;
        return undefined;
      case 'SET_MEM_TABLE':
        if (payload.kind === 'memory') this.#memory.map(payload.regions, fds);
        break;
      case 'SET_BACKEND_REQ_FD':
        this.#channel = FdSocket.fromFd(fds[0]!);
        return undefined;
      case 'SET_VRING_KICK':
      case 'SET_VRING_CALL':
        if (payload.kind === 'vring-fd' && fds[0] !== undefined) this.#ringFd(name, payload.index, fds[0]);
        return undefined;
    }
    for (const fd of fds) closeFd(fd);
    if (name === 'SET_LOG_BASE') return u64(0n);
    if (payload.kind === 'vring-addr')
      this.#ring(payload.index).addresses = {
        desc: payload.descUserAddr,
        avail: payload.availUserAddr,
        used: payload.usedUserAddr,
      };
    if (payload.kind !== 'vring-state') return undefined;
    const ring = this.#ring(payload.index);
    if (name === 'SET_VRING_NUM') ring.num = payload.num;
    if (name === 'SET_VRING_BASE') ring.base = payload.num;
    if (name === 'SET_VRING_ENABLE') ring.enabled = payload.num === 1;
    if (name !== 'GET_VRING_BASE') return undefined;
    const num = ring.queue?.base ?? ring.base;
    this.#stop(ring);
    return { kind: 'vring-state', index: payload.index, num };
  }

  #ringFd(name: 'SET_VRING_KICK' | 'SET_VRING_CALL', index: number, fd: number): void {
    const ring = this.#ring(index);
    const event = EventFd.adopt(fd);
    if (name === 'SET_VRING_CALL') {
      ring.call?.close();
      ring.call = event;
      return;
    }
    ring.kick = event;
    if (this.lazy) return;
    ring.queue = new SplitQueue({
      size: ring.num,
      ...ring.addresses!,
      base: ring.base,
      eventIdx: false,
      rings: this.#memory.byUserAddr,
      buffers: this.#memory.byGuestAddr,
    });
    if (index % 2 === 1) event.onSignal(() => this.#transmit(ring));
  }

  #transmit(ring: Ring): void {
    if (!ring.enabled || !ring.queue) return;
    for (const chain of ring.queue.popAll()) {
      this.frames.push(ring.queue.readOut(chain));
      ring.queue.push(chain, 0);
    }
    ring.queue.publish();
    ring.call?.signal();
    this.emit('change');
  }

  #ring(index: number): Ring {
    let ring = this.rings.get(index);
    if (!ring) {
      ring = { num: 0, base: 0, queue: undefined, kick: undefined, enabled: false };
      this.rings.set(index, ring);
    }
    return ring;
  }

  #stop(ring: Ring): void {
    ring.kick?.close();
    ring.kick = undefined;
    ring.queue = undefined;
  }

  #forget(): void {
    for (const ring of this.rings.values()) {
      this.#stop(ring);
      ring.call?.close();
    }
    this.rings.clear();
    this.#memory.unmap();
    this.#channel?.close();
    this.#channel = undefined;
  }
}
