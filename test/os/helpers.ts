import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { onTestFinished } from 'vitest';
import {
  countFds,
  EventFd,
  FdSocket,
  type Listener,
  type ListenOptions,
  listenUnix,
  socketPair,
} from '../../src/os/index.js';

/** A directory that goes with the test. */
export function directory(): string {
  const path = mkdtempSync(join(tmpdir(), 'os-'));
  onTestFinished(() => rmSync(path, { recursive: true }));
  return path;
}

/** Both ends of a socket pair; closed with the test. */
export function connectedPair(): [FdSocket, FdSocket] {
  const [a, b] = socketPair();
  const pair: [FdSocket, FdSocket] = [FdSocket.fromFd(a), FdSocket.fromFd(b)];
  onTestFinished(() => {
    for (const socket of pair) socket.close();
  });
  return pair;
}

/** A listener of node:net with the sockets that it accepted, in order. */
export class Server {
  readonly #waiting: ((socket: FdSocket) => void)[] = [];
  readonly #accepted: FdSocket[] = [];
  #listener!: Listener;

  static async listen(path: string, options?: ListenOptions): Promise<Server> {
    const server = new Server();
    server.#listener = await listenUnix(path, (socket) => server.#accept(socket), options);
    onTestFinished(() => server.close());
    return server;
  }

  /** The next connection. */
  accept(): Promise<FdSocket> {
    const socket = this.#accepted.shift();
    return socket ? Promise.resolve(socket) : new Promise((resolve) => this.#waiting.push(resolve));
  }

  get listener(): Listener {
    return this.#listener;
  }

  async close(): Promise<void> {
    await this.#listener.close();
    for (const socket of this.#accepted.splice(0)) socket.close();
  }

  #accept(socket: FdSocket): void {
    const waiting = this.#waiting.shift();
    if (waiting) waiting(socket);
    else this.#accepted.push(socket);
  }
}

/** Resolves when the poller has told everything that was due before. */
export async function nextBatch(): Promise<void> {
  for (let batch = 0; batch < 2; batch++) {
    const marker = EventFd.create();
    marker.signal();
    await new Promise((resolve) => marker.onSignal(resolve));
    marker.close();
  }
}

/** Resolves when there is something to receive. */
export function readable(socket: FdSocket): Promise<void> {
  return new Promise((resolve) => {
    socket.onReadable(() => {
      socket.pauseReading();
      resolve();
    });
  });
}

/** Our open descriptors, once those that node closes in its close phase are gone. */
export async function ownFds(): Promise<number> {
  await setImmediate();
  await setImmediate();
  return countFds(process.pid)!;
}
