import { closeFd, FdSocket, OsError } from '../os/index.js';
import type { Recorder } from '../timeline/index.js';
import {
  type BackEndName,
  decodePayload,
  encodeMessage,
  encodePayload,
  FLAG_NEED_REPLY,
  nameOf,
  type Payload,
  StreamReader,
  specById,
  specByName,
  toJson,
  VERSION,
  WireError,
} from '../wire/index.js';

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
    const request = specByName(name).id;
    const bytes = encodePayload(payload);
    const flags = VERSION | (options.needReply ? FLAG_NEED_REPLY : 0);
    this.#recorder.record({
      type: 'wire.send',
      session: this.#session,
      channel: 'backend',
      request,
      name,
      flags,
      size: bytes.length,
      body: toJson(payload),
      fds: options.fds?.length ?? 0,
    });
    this.#socket.send(encodeMessage({ request, flags, payload: bytes }), options.fds ?? []);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    for (const fd of this.#reader.pending.fds) closeFd(fd);
    this.#socket.close();
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
          body: spec ? toJson(decodePayload(spec, true, message.payload)) : {},
        });
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    if (!(error instanceof OsError || error instanceof WireError))
      this.#recorder.record({ type: 'tester.trouble', what: `back-end channel: ${String(error)}` });
    this.close();
  }
}
