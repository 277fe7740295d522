import { closeFd, type FdSocket, OsError } from '../../src/os/index.js';
import {
  decodePayload,
  encodeMessage,
  encodePayload,
  FLAG_NEED_REPLY,
  FLAG_REPLY,
  type FrontEndName,
  type Payload,
  type RawMessage,
  StreamReader,
  specByName,
  VERSION,
} from '../../src/wire/index.js';
import { Guest, type GuestRing, type RingOptions } from './guest.js';

/** A reply as the front-end decodes it. */
export interface Answer {
  name: FrontEndName;
  flags: number;
  payload: Payload;
  fds: number[];
}

export interface SendOptions {
  fds?: readonly number[];
  needReply?: boolean;
}

/** A vhost-user front-end on a script: sends what a test says, in any order, and keeps what comes back. */
export class FrontEnd {
  readonly guest = new Guest();
  readonly socket: FdSocket;
  /** How the connection ended, as this end sees it; `partial` counts the bytes of an unfinished message. */
  readonly ended: Promise<{ how: 'eof' | 'ECONNRESET'; partial: number }>;
  readonly #reader = new StreamReader();
  readonly #received: RawMessage[] = [];
  readonly #waiting: ((message: RawMessage) => void)[] = [];
  #onEnd!: (end: { how: 'eof' | 'ECONNRESET'; partial: number }) => void;

  constructor(socket: FdSocket) {
    this.socket = socket;
    this.ended = new Promise((resolve) => {
      this.#onEnd = resolve;
    });
    // A failed send shows as the end of the connection too.
    socket.onError(() => {});
    socket.onReadable(() => this.#readable());
  }

  /** Sends a request. */
  send(
    name: FrontEndName,
    payload: Payload = { kind: 'none' },
    { fds = [], needReply = false }: SendOptions = {},
  ): void {
    const flags = VERSION | (needReply ? FLAG_NEED_REPLY : 0);
    this.socket.send(encodeMessage({ request: specByName(name).id, flags, payload: encodePayload(payload) }), fds);
  }

  /** Sends a request by number and raw payload. */
  sendRaw(request: number, payload: Buffer, { fds = [], needReply = false }: SendOptions = {}): void {
    this.socket.send(encodeMessage({ request, flags: VERSION | (needReply ? FLAG_NEED_REPLY : 0), payload }), fds);
  }

  /** The next message of the back-end, raw. */
  next(): Promise<RawMessage> {
    const message = this.#received.shift();
    return message ? Promise.resolve(message) : new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Sends a request and takes its reply. */
  async ask(name: FrontEndName, payload?: Payload, options?: SendOptions): Promise<Answer> {
    this.send(name, payload, options);
    const { request, flags, payload: bytes, fds } = await this.next();
    const spec = specByName(name);
    if (request !== spec.id) throw new Error(`${name} was answered by ${request}`);
    const isAck = spec.reply.rule === 'none' || (options?.needReply && bytes.length === 8);
    const decoded = isAck ? decodePayload(specByName('SET_FEATURES'), false, bytes) : decodePayload(spec, true, bytes);
    return { name, flags, payload: decoded, fds };
  }

  /** The u64 of a reply. */
  async askU64(name: FrontEndName, payload?: Payload, options?: SendOptions): Promise<bigint> {
    const answer = await this.ask(name, payload, options);
    if (answer.payload.kind !== 'u64' || (answer.flags & FLAG_REPLY) === 0) throw new Error(`${name}: no u64 reply`);
    return answer.payload.value;
  }

  /** Sends a request with a ring's index and number. */
  state(name: FrontEndName, index: number, num: number, options?: SendOptions): void {
    this.send(name, { kind: 'vring-state', index, num }, options);
  }

  /** QEMU's opening up to the memory table. @returns the features acked */
  async handshake({ without = 0n, extra = 0n }: { without?: bigint; extra?: bigint } = {}): Promise<bigint> {
    const offered = await this.askU64('GET_FEATURES');
    const protocol = await this.askU64('GET_PROTOCOL_FEATURES');
    this.send('SET_PROTOCOL_FEATURES', { kind: 'u64', value: protocol });
    await this.askU64('GET_QUEUE_NUM');
    this.send('SET_OWNER');
    const features = (offered & ACCEPTED & ~without) | extra;
    this.send('SET_FEATURES', { kind: 'u64', value: features });
    this.memTable();
    return features;
  }

  memTable(options: Pick<SendOptions, 'needReply'> = {}): void {
    const { regions, fd } = this.guest;
    this.send('SET_MEM_TABLE', { kind: 'memory', regions: [...regions] }, { ...options, fds: regions.map(() => fd) });
  }

  /** Everything that a ring needs before its kick. */
  setRing(index: number, options: RingOptions = {}): GuestRing {
    const ring = this.guest.ring(index, options);
    this.state('SET_VRING_NUM', index, ring.size);
    this.state('SET_VRING_BASE', index, ring.base);
    this.send('SET_VRING_ADDR', { kind: 'vring-addr', index, flags: 0, ...ring.addresses, logGuestAddr: 0n });
    this.send('SET_VRING_CALL', { kind: 'vring-fd', index, noFd: false }, { fds: [ring.call.fd] });
    return ring;
  }

  kick(index: number): void {
    const { kick } = this.guest.ring(index);
    this.send('SET_VRING_KICK', { kind: 'vring-fd', index, noFd: false }, { fds: [kick.fd] });
  }

  /** Starts and enables the rings of one pair: RX, TX. */
  startRings(options: RingOptions = {}, pair = 0): [rx: GuestRing, tx: GuestRing] {
    const start = (index: number) => {
      const ring = this.setRing(index, options);
      this.kick(index);
      this.state('SET_VRING_ENABLE', index, 1);
      return ring;
    };
    return [start(2 * pair), start(2 * pair + 1)];
  }

  /** Hangs up and frees the guest; idempotent. */
  close(): void {
    if (this.socket.closed) return;
    this.socket.close();
    for (const fd of this.#reader.pending.fds) closeFd(fd);
    for (const { fds } of this.#received) fds.forEach(closeFd);
    this.guest.close();
  }

  #readable(): void {
    try {
      for (;;) {
        const chunk = this.socket.receive(this.#reader.want);
        if (chunk === 'again') return;
        if (chunk === 'eof') {
          this.#end('eof');
          return;
        }
        const message = this.#reader.push(chunk.bytes, chunk.fds);
        if (!message) continue;
        const waiting = this.#waiting.shift();
        if (waiting) waiting(message);
        else this.#received.push(message);
      }
    } catch (error) {
      if (!(error instanceof OsError && error.code === 'ECONNRESET')) throw error;
      this.#end('ECONNRESET');
    }
  }

  #end(how: 'eof' | 'ECONNRESET'): void {
    this.socket.pauseReading();
    this.#onEnd({ how, partial: this.#reader.pending.bytes });
  }
}

/** What a Linux guest accepts of a DPDK back-end: no packed ring, no in-order. */
const ACCEPTED = 0x1_7000_8000n;
