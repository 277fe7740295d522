import { statSync } from 'node:fs';
import { unixSockets } from '../os/index.js';
import type { Ms, Recorder } from '../timeline/index.js';

/** Watches a listening QEMU's socket from outside: its path, and whether QEMU dials itself. */
export class SocketWatch {
  #decoyed = false;
  /** Accepted sockets that sessions of ours explain. */
  readonly #explained = new Set<number>();
  /** Accepted sockets that nothing explains, with when they were first seen. */
  readonly #strange = new Map<number, Ms>();

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
    const now = stat ? { inode: stat.ino, born: stat.birthtimeMs, mode: stat.mode & 0o777 } : {};
    if (last && last.inode === now.inode && last.born === now.born && last.mode === now.mode) return;
    this.recorder.record({ type: 'socket.path', ...now });
  }

  /**
   * A connection of ours that QEMU accepted after we had closed it looks like one of its own until it reads its end, so
   * what counts is how long it stands: that is for the judge.
   */
  #lookForSelfDial(): void {
    const now = this.recorder.now();
    for (const inode of this.#accepted())
      if (!this.#explained.has(inode) && !this.#strange.has(inode)) this.#strange.set(inode, now);
    if (this.#strange.size === 0) return;
    const since = Math.min(...this.#strange.values());
    this.recorder.record({ type: 'self-dial', inodes: [...this.#strange.keys()], since });
  }

  /** Inodes of the sockets that accept(2) made of the listener: they carry its path. */
  #accepted(): number[] {
    const inodes = unixSockets(this.path)
      .filter(({ state, inode }) => state === 'connected' && inode !== 0)
      .map(({ inode }) => inode);
    for (const inode of this.#strange.keys()) if (!inodes.includes(inode)) this.#strange.delete(inode);
    return inodes;
  }
}
