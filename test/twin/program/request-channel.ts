import { closeFd, FdSocket, OsError, socketPair } from '../../../src/os/index.js';
import {
  encodeMessage,
  FLAG_NEED_REPLY,
  FLAG_REPLY,
  StreamReader,
  VERSION,
  WireError,
} from '../../../src/wire/index.js';

/** The channel for the back-end's own requests, as QEMU's backend_read serves it: all that comes is refused. */
export class RequestChannel {
  /** The end to give to the back-end; its taker closes it. */
  readonly theirs: number;
  readonly #socket: FdSocket;
  readonly #reader = new StreamReader({});

  constructor(private readonly answers: boolean) {
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
        if ((message.flags & FLAG_NEED_REPLY) === 0 || !this.answers) continue;
        const payload = Buffer.alloc(8, 0);
        payload[0] = 1;
        this.#socket.send(encodeMessage({ request: message.request, flags: VERSION | FLAG_REPLY, payload }));
      }
    } catch (error) {
      if (!(error instanceof OsError) && !(error instanceof WireError)) throw error;
      this.close();
    }
  }
}
