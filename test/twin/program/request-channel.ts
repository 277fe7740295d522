import { closeFd, FdSocket, OsError, socketPair } from '../../../src/os/index.js';
import {
  decodePayload,
  encodeMessage,
  encodePayload,
  FLAG_NEED_REPLY,
  FLAG_REPLY,
  type RawMessage,
  StreamReader,
  specByName,
  VERSION,
  WireError,
} from '../../../src/wire/index.js';

/** The channel for the back-end's own requests, as QEMU's backend_read serves it: all that comes is refused but a notifier taken back. */
export class RequestChannel {
  /** The end to give to the back-end; its taker closes it. */
  readonly theirs: number;
  readonly #socket: FdSocket;
  readonly #reader = new StreamReader({});

  /**
   * @param queues of the device
   * @param answer to a request that is refused or not; undefined is none
   */
  constructor(
    private readonly queues: number,
    private readonly answer: (refused: boolean) => bigint | undefined,
  ) {
    const [ours, theirs] = socketPair();
    this.theirs = theirs;
    this.#socket = FdSocket.fromFd(ours);
    this.#socket.onError(() => this.close());
    this.#socket.onReadable(() => this.#readable());
  }

  close(): void {
    if (this.#socket.closed) return;
    this.#socket.close();
    for (const fd of this.#reader.pending.fds) closeFd(fd);
  }

  /** Whether a notifier is taken back from a queue that is there. */
  #takesBack({ request, payload }: RawMessage): boolean {
    const spec = specByName('BACKEND_VRING_HOST_NOTIFIER_MSG');
    if (request !== spec.id) return false;
    const area = decodePayload(spec, false, payload);
    return area.kind === 'vring-area' && area.vring.noFd && area.vring.index < this.queues;
  }

  #readable(): void {
    try {
      while (!this.#socket.closed) {
        const chunk = this.#socket.receive(this.#reader.want);
        if (chunk === 'again') return;
        if (chunk === 'eof') {
          this.close();
          return;
        }
        const message = this.#reader.push(chunk.bytes, chunk.fds);
        if (!message) continue;
        for (const fd of message.fds) closeFd(fd);
        const value = this.answer(!this.#takesBack(message));
        if ((message.flags & FLAG_NEED_REPLY) === 0 || value === undefined) continue;
        const payload = encodePayload({ kind: 'u64', value });
        this.#socket.send(encodeMessage({ request: message.request, flags: VERSION | FLAG_REPLY, payload }));
      }
    } catch (error) {
      if (!(error instanceof OsError) && !(error instanceof WireError)) throw error;
      this.close();
    }
  }
}
