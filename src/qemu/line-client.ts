import type { Socket } from 'node:net';
import { QemuError } from './qemu-error.js';

interface Waiter<Answer> {
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

/**
 * A client of a protocol of lines whose requests are answered in order, with asynchronous lines in between. Requests may
 * be sent without waiting for each other: what one turn of the event loop sends leaves in one write.
 */
export abstract class LineClient<Answer> {
  readonly #socket: Socket;
  readonly #waiting: Waiter<Answer>[] = [];
  #outgoing = '';
  #incoming = '';
  #lost: QemuError | undefined;

  /** Takes over a connected socket. */
  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding('utf8');
    socket.on('data', (text: string) => this.#receive(text));
    let cause: Error | undefined;
    socket.on('error', (error) => {
      cause = error;
    });
    socket.on('close', () => this.#fail('QEMU closed the connection', cause));
  }

  /** Whether the connection is there. */
  get connected(): boolean {
    return this.#lost === undefined;
  }

  /** Sends one line (without its end) and resolves with its answer. @throws QemuError, also when the connection is lost */
  send(line: string): Promise<Answer> {
    if (this.#lost) return Promise.reject(this.#lost);
    if (this.#outgoing === '') process.nextTick(() => this.#flush());
    this.#outgoing += `${line}\n`;
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** Closes the connection; what is unanswered rejects. */
  close(): void {
    this.#fail('the connection was closed');
    this.#socket.destroy();
  }

  /** Closes the connection when everything sent, and then the beginning of a line, is on its way; what is unanswered rejects. */
  breakOff(beginning: string): void {
    const last = this.#outgoing + beginning;
    this.#outgoing = '';
    this.#fail('the connection was broken off');
    this.#socket.end(last, () => this.#socket.destroy());
  }

  /**
   * Called with each line received, without its end. Calls answer() or refuse() unless the line is asynchronous.
   * @throws QemuError to give the connection up; anything else is a bug and not caught.
   */
  protected abstract onLine(line: string): void;

  /** Called once when the connection is lost, whoever closed it. */
  protected onLost(_error: QemuError): void {}

  /** Settles the oldest request. */
  protected answer(value: Answer): void {
    this.#oldest().resolve(value);
  }

  /** Rejects the oldest request. */
  protected refuse(error: QemuError): void {
    this.#oldest().reject(error);
  }

  #oldest(): Waiter<Answer> {
    const waiter = this.#waiting.shift();
    if (!waiter)
      throw new QemuError('ERR_QEMU_PROTOCOL', 'an answer came that nothing asked for', 'is this socket shared?');
    return waiter;
  }

  #flush(): void {
    const text = this.#outgoing;
    this.#outgoing = '';
    if (!this.#lost) this.#socket.write(text);
  }

  #receive(text: string): void {
    // What comes until a connection that was broken off is gone answers nobody.
    if (this.#lost) return;
    // Only the new text can hold the end of an unfinished line; looking through a long one again would be quadratic.
    let from = this.#incoming.length;
    this.#incoming += text;
    let start = 0;
    for (let end = this.#incoming.indexOf('\n', from); end >= 0; end = this.#incoming.indexOf('\n', from)) {
      const line = this.#incoming.slice(start, this.#incoming[end - 1] === '\r' ? end - 1 : end);
      from = start = end + 1;
      try {
        this.onLine(line);
      } catch (error) {
        if (!(error instanceof QemuError)) throw error;
        this.#fail(`cannot make sense of ${JSON.stringify(line.slice(0, 80))}`, error);
        this.#socket.destroy();
        return;
      }
    }
    this.#incoming = this.#incoming.slice(start);
  }

  #fail(message: string, cause?: Error): void {
    if (this.#lost) return;
    const code = cause instanceof QemuError ? cause.code : 'ERR_QEMU_SOCKET';
    this.#lost = new QemuError(code, message, "see QEMU's exit status and its stderr", { cause });
    for (const waiter of this.#waiting.splice(0)) waiter.reject(this.#lost);
    this.onLost(this.#lost);
  }
}
