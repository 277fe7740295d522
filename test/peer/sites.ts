import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { FdSocket, type Listener, listenUnix } from '../../src/os/index.js';
import { Peer } from '../../src/peer/index.js';
import { Recorder, type Role } from '../../src/timeline/index.js';
import { FrontEnd } from './front-end.js';

/** A peer with its path; both go with the test. */
export function site(role: Role) {
  const dir = mkdtempSync(join(tmpdir(), 'peer-'));
  const path = join(dir, 's');
  const recorder = new Recorder();
  const peer = new Peer({ role, path, recorder });
  onTestFinished(async () => {
    await peer.close();
    rmSync(dir, { recursive: true });
  });
  return { path, recorder, peer };
}

/**
 * A listening QEMU: takes one connection at a time, as its chardev does. The others wait, unread, until `next` takes
 * them.
 */
export class ListeningQemu {
  readonly #waiting: FrontEnd[] = [];
  readonly #wanted: ((frontEnd: FrontEnd) => void)[] = [];
  readonly #all: FrontEnd[] = [];
  #listener: Listener | undefined;

  constructor(private readonly path: string) {
    onTestFinished(() => this.close());
  }

  async listen(): Promise<void> {
    this.#listener = await listenUnix(this.path, (socket) => this.#accept(socket), { replace: true });
  }

  /** Stops listening; the path refuses. */
  async stop(): Promise<void> {
    await this.#listener?.close();
    this.#listener = undefined;
  }

  /** The next connection, in the order of dialling. */
  next(): Promise<FrontEnd> {
    const frontEnd = this.#waiting.shift();
    return frontEnd ? Promise.resolve(frontEnd) : new Promise((resolve) => this.#wanted.push(resolve));
  }

  /** How many connections nobody took yet. */
  get backlog(): number {
    return this.#waiting.length;
  }

  async close(): Promise<void> {
    await this.stop();
    for (const frontEnd of this.#all.splice(0)) frontEnd.close();
  }

  #accept(socket: FdSocket): void {
    const frontEnd = new FrontEnd(socket);
    this.#all.push(frontEnd);
    const wanted = this.#wanted.shift();
    if (wanted) wanted(frontEnd);
    else this.#waiting.push(frontEnd);
  }
}

/** A dialling QEMU's connection; closed with the test. */
export async function dial(path: string): Promise<FrontEnd> {
  const frontEnd = new FrontEnd(await FdSocket.dial(path));
  onTestFinished(() => frontEnd.close());
  return frontEnd;
}
