import { statSync } from 'node:fs';
import { unixSockets } from '../os/index.js';
import type { Ms, Recorder } from '../timeline/index.js';

/**
 * How long an unexplained connection must stand to count as a self-dial. One of ours that QEMU accepted after we had
 * closed it looks the same until QEMU reads its end; a QEMU that dialled itself waits for its own answer and stays.
 */
const STANDING_MS: Ms = 1000;

/** Watches a listening QEMU's socket from outside: its path, and whether QEMU dials itself. */
export class SocketWatch {
  #decoyed = false;
  /** Accepted sockets that sessions of ours explain. */
  readonly #explained = new Set<number>();
  /** Accepted sockets that nothing explains, with when they were first seen. */
  readonly #strange = new Map<number, Ms>();
  #reported = '';

  constructor(
    private readonly path: string,
    private readonly recorder: Recorder,
  ) {}

  /** While a decoy stands at the path, it says nothing about QEMU. */
  set decoyed(decoyed: boolean) {
    this.#decoyed = decoyed;
  }

  /** Reads now. `away`: no session of ours is open, so a connection at the path may be QEMU's own. */
  sample(away: boolean): void {
    if (this.#decoyed) return;
    this.#samplePath();
    if (away) this.#lookForSelfDial();
    else this.#strange.clear();
  }

  /** Takes what is connected now as ours: called when a session ends, before its socket is closed. */
  explain(): void {
    for (const inode of this.#accepted()) this.#explained.add(inode);
    this.#strange.clear();
  }

  #samplePath(): void {
    const stat = statSync(this.path, { throwIfNoEntry: false });
    const last = this.recorder.latest('socket.path');
    if (!last && !stat) return;
    if (last && last.inode === stat?.ino && last.born === stat?.birthtimeMs) return;
    this.recorder.record({ type: 'socket.path', ...(stat ? { inode: stat.ino, born: stat.birthtimeMs } : {}) });
  }

  #lookForSelfDial(): void {
    const now = this.recorder.now();
    for (const inode of this.#accepted())
      if (!this.#explained.has(inode) && !this.#strange.has(inode)) this.#strange.set(inode, now);
    const standing = [...this.#strange].filter(([, since]) => now - since >= STANDING_MS).map(([inode]) => inode);
    const key = standing.join();
    if (standing.length > 0 && key !== this.#reported) this.recorder.record({ type: 'self-dial', inodes: standing });
    this.#reported = key;
  }

  /** Inodes of the sockets that accept(2) made of the listener: they carry its path. */
  #accepted(): number[] {
    const inodes = unixSockets()
      .filter(({ path, state, inode }) => path === this.path && state === 'connected' && inode !== 0)
      .map(({ inode }) => inode);
    for (const inode of this.#strange.keys()) if (!inodes.includes(inode)) this.#strange.delete(inode);
    return inodes;
  }
}
