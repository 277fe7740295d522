import { closeFd, EventFd, FdSocket, memfd, OsError } from '../os/index.js';
import type { Recorder } from '../timeline/index.js';
import {
  type BackEndName,
  decodeHeader,
  decodePayload,
  encodeMessage,
  encodePayload,
  FLAG_NEED_REPLY,
  HEADER_SIZE,
  type JsonObject,
  nameOf,
  type Payload,
  StreamReader,
  specById,
  specByName,
  toJson,
  VERSION,
  WireError,
} from '../wire/index.js';
import type { ChannelAct, GiftName } from './faults/index.js';

/** The memory that comes with a request for a host notifier: one page, as QEMU maps it. */
const PAGE = 4096;

/**
 * The channel for the back-end's own requests (SET_BACKEND_REQ_FD). QEMU answers a request only when it asked for a
 * reply. Trouble on it closes the channel, not the session: that is what DPDK does.
 */
export class BackendChannel {
  readonly #socket: FdSocket;
  readonly #reader = new StreamReader();
  readonly #session: number;
  readonly #recorder: Recorder;
  #open = true;

  /** Takes the fd over, also when it throws. @throws OsError when it is no socket */
  constructor(fd: number, session: number, recorder: Recorder) {
    this.#session = session;
    this.#recorder = recorder;
    try {
      this.#socket = FdSocket.fromFd(fd);
    } catch (error) {
      closeFd(fd);
      throw error;
    }
    this.#socket.onError((error) => this.#fail(error));
    this.#socket.onReadable(() => this.#readable());
  }

  /** Sends a request; fds stay the caller's. Does nothing once the channel is closed. */
  request(name: BackEndName, payload: Payload, options: { fds?: number[]; needReply?: boolean } = {}): void {
    if (!this.#open) return;
    const flags = VERSION | (options.needReply ? FLAG_NEED_REPLY : 0);
    const { fds = [] } = options;
    const bytes = encodeMessage({ request: specByName(name).id, flags, payload: encodePayload(payload) });
    this.#recordRequest(bytes, fds.length);
    this.#socket.send(bytes, fds);
  }

  /** Records a whole message. */
  #recordRequest(bytes: Buffer, fds: number): void {
    const { request, flags, size } = decodeHeader(bytes);
    const payload = bytes.subarray(HEADER_SIZE);
    const spec = specById('back-end', request);
    this.#recorder.record({
      type: 'wire.send',
      session: this.#session,
      channel: 'backend',
      request,
      name: nameOf('back-end', request),
      flags,
      size,
      body: spec ? toJson(decodePayload(spec, false, payload)) : { bytes: payload.toString('hex') },
      fds,
    });
  }

  get open(): boolean {
    return this.#open;
  }

  /** Does what a fault says, right or wrong. */
  act({ bytes, fds, whole, close }: ChannelAct): void {
    if (!this.#open) return;
    const gifts = fds.map(gift);
    if (whole) this.#recordRequest(bytes, gifts.length);
    this.#socket.send(
      bytes,
      gifts.map(({ fd }) => fd),
    );
    for (const { drop } of gifts) drop();
    if (close) this.close('peer');
  }

  /** @param by who closed it, where the session goes on without it */
  close(by?: 'peer' | 'front-end'): void {
    if (!this.#open) return;
    this.#open = false;
    if (by) this.#recorder.record({ type: 'wire.backend-close', session: this.#session, by });
    for (const fd of this.#reader.pending.fds) closeFd(fd);
    this.#socket.close();
  }

  #readable(): void {
    try {
      while (this.#open) {
        const chunk = this.#socket.receive(this.#reader.want);
        if (chunk === 'again') return;
        if (chunk === 'eof') {
          this.close('front-end');
          return;
        }
        const message = this.#reader.push(chunk.bytes, chunk.fds);
        if (!message) continue;
        for (const fd of message.fds) closeFd(fd);
        const spec = specById('back-end', message.request);
        this.#recorder.record({
          type: 'wire.backend-recv',
          session: this.#session,
          request: message.request,
          name: nameOf('back-end', message.request),
          flags: message.flags,
          size: message.payload.length,
          body: spec ? toJson(decodePayload(spec, true, message.payload)) : acknowledgement(message.payload),
        });
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    if (!(error instanceof OsError || error instanceof WireError))
      this.#recorder.record({ type: 'tester.trouble', what: `back-end channel: ${String(error)}` });
    this.close(error instanceof OsError ? 'front-end' : 'peer');
  }
}

/** What the answer to a request that the specification does not have says: it can only be an acknowledgement. */
function acknowledgement(payload: Buffer): JsonObject {
  return payload.length === 8 ? toJson({ kind: 'u64', value: payload.readBigUInt64LE() }) : {};
}

/** A descriptor to send, and how to be rid of it afterwards. */
function gift(name: GiftName): { fd: number; drop(): void } {
  if (name === 'eventfd') {
    const event = EventFd.create();
    return { fd: event.fd, drop: () => event.close() };
  }
  const fd = memfd(name, PAGE);
  return { fd, drop: () => closeFd(fd) };
}
