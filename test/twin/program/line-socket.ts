import { connect, type Socket } from 'node:net';

/** A stream of lines on a unix socket that the twin dials: the monitor's, or qtest's. */
export class LineSocket {
  readonly #socket: Socket;
  #rest = '';

  constructor(socket: Socket) {
    this.#socket = socket;
    // A connection that breaks is a connection that ends.
    socket.on('error', () => {});
  }

  static dial(path: string): Promise<LineSocket> {
    return new Promise((resolve, reject) => {
      const socket = connect(path);
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new LineSocket(socket));
      });
    });
  }

  /** Calls `listener` for each line received; lines that came before wait for it. */
  onLine(listener: (line: string) => void): void {
    this.#socket.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = (this.#rest + chunk).split('\n');
      this.#rest = lines.pop()!;
      for (const line of lines) listener(line.replace(/\r$/, ''));
    });
  }

  /** Calls `listener` when the other side is gone. */
  onClose(listener: () => void): void {
    this.#socket.on('close', listener);
  }

  /** Sends a line; `sent` is called when the kernel has it. */
  write(line: string, sent?: () => void): void {
    this.#socket.write(`${line}\n`, sent);
  }
}
