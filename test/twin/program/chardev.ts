import { renameSync, rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { FdSocket, listenUnix, OsError } from '../../../src/os/index.js';
import type { Behaviour } from './behaviour.js';
import type { ChardevOptions } from './options.js';
import { complain } from './stderr.js';

/** Where peers come from, one at a time. */
export interface Chardev {
  /** The next peer. `starting`: QEMU waits for it in its start-up, and timers do not count. */
  next(starting: boolean): Promise<FdSocket>;
  /** QMP's filename for this state. */
  filename(connected: boolean): string;
  close(): Promise<void>;
}

const NEVER = new Promise<never>(() => {});

/** `server=on`: a listener that is always open, and serves one peer after the other. */
export class ServerChardev implements Chardev {
  readonly #options: ChardevOptions;
  readonly #behaviour: Behaviour;
  readonly #onSecond: (socket: FdSocket) => void;
  #listener: { close(): Promise<void> } | undefined;
  /** Peers that connected and are not served yet; QEMU leaves them in the kernel's backlog. */
  readonly #waiting: FdSocket[] = [];
  #taker: ((socket: FdSocket) => void) | undefined;
  #served = 0;

  constructor(options: ChardevOptions, behaviour: Behaviour, onSecond: (socket: FdSocket) => void) {
    this.#options = options;
    this.#behaviour = behaviour;
    this.#onSecond = onSecond;
  }

  async listen(path = this.#options.path): Promise<void> {
    this.#listener = await listenUnix(path, (socket) => this.#arrived(socket), { backlog: 1 });
  }

  /**
   * Puts a new socket in the place of its own: what a correct server never does. The old one goes last, or the file system
   * might give its inode number to the new one.
   */
  async recreate(): Promise<void> {
    const old = this.#listener;
    const { path } = this.#options;
    await this.listen(`${path}.new`);
    renameSync(`${path}.new`, path);
    await old?.close();
  }

  async next(): Promise<FdSocket> {
    if (this.#served > 0) {
      const ms = this.#behaviour.rearmAfter(this.#served);
      if (ms === undefined) return NEVER;
      if (ms > 0) await delay(ms);
    }
    this.#served++;
    const waiting = this.#waiting.shift();
    if (waiting) return waiting;
    return new Promise((resolve) => {
      this.#taker = resolve;
    });
  }

  filename(connected: boolean): string {
    return `${connected ? '' : 'disconnected:'}unix:${this.#options.path},server=on`;
  }

  /** Closes the listener; like QEMU's, the path goes with it. */
  async close(): Promise<void> {
    await this.#listener?.close();
    rmSync(this.#options.path, { force: true });
  }

  #arrived(socket: FdSocket): void {
    const taker = this.#taker;
    if (socket.peerPid === process.pid) {
      // It never says a word: what there is to read is its end.
      socket.onReadable(() => socket.close());
    } else if (taker) {
      this.#taker = undefined;
      taker(socket);
    } else if (this.#behaviour.servesSecond) {
      this.#onSecond(socket);
    } else {
      this.#waiting.push(socket);
    }
  }
}

/** `reconnect=R`: dials at the start, and R after each loss or failure. */
export class ClientChardev implements Chardev {
  readonly #options: ChardevOptions;
  readonly #behaviour: Behaviour;
  #dialled = false;
  /** Reports of failed dials: since the last connection, and before it. */
  #reports = 0;
  #reportsBefore = 0;
  /** Connections that nobody uses. */
  readonly #spare: FdSocket[] = [];

  constructor(options: ChardevOptions, behaviour: Behaviour) {
    this.#options = options;
    this.#behaviour = behaviour;
  }

  async next(starting: boolean): Promise<FdSocket> {
    for (let attempt = starting ? -1 : 0; ; attempt++) {
      if (attempt >= 0) await this.#pause(attempt);
      const socket = await this.#dial();
      if (socket) {
        while (this.#spare.length < this.#behaviour.initialConnections - 1) await this.#spareDial();
        return socket;
      }
      if (starting && !this.#behaviour.retriesAtStart) return NEVER;
    }
  }

  filename(connected: boolean): string {
    return `${connected ? '' : 'disconnected:'}unix:${this.#options.path}`;
  }

  async close(): Promise<void> {
    for (const socket of this.#spare) socket.close();
  }

  async #pause(attempt: number): Promise<void> {
    const ms = this.#behaviour.redialAfter(this.#options.reconnectMs, attempt);
    if (ms === undefined) return NEVER;
    await delay(ms);
  }

  /** @returns undefined when nobody listens, which is reported once an outage */
  async #dial(): Promise<FdSocket | undefined> {
    try {
      const socket = await FdSocket.dial(this.#options.path);
      this.#dialled = true;
      this.#reportsBefore += this.#reports;
      this.#reports = 0;
      return socket;
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      const { id, path, reconnectMs } = this.#options;
      const why = `Failed to connect to '${path}': ${error.code}`;
      if (!this.#dialled && reconnectMs === 0) {
        complain(`-chardev socket,id=${id},path=${path}: ${why}`);
        process.exit(1);
      }
      if (this.#behaviour.reportsDial(this.#reports, this.#reportsBefore)) {
        complain(`Unable to connect character device ${id}: ${why}`);
        this.#reports++;
      }
      return undefined;
    }
  }

  async #spareDial(): Promise<void> {
    this.#spare.push(await FdSocket.dial(this.#options.path));
  }
}
