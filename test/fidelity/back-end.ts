import { Peer, type Profile } from '../../src/peer/index.js';
import { Recorder, type Role } from '../../src/timeline/index.js';
import type { FrontEndName } from '../../src/wire/index.js';

/** A back-end under the command of a course. It records its sessions and messages the way the mock peer does. */
export interface BackEnd {
  /** The socket that QEMU is started with: its own (server), or this side's (client). */
  readonly path: string;
  readonly recorder: Recorder;
  /** Comes, or comes back. @param startup QEMU may not listen yet */
  arrive(startup: boolean): Promise<void>;
  /** Leaves as after `kill -9`, or in good order. Resolves when its session is closed. */
  leave(how: 'kill' | 'exit'): Promise<void>;
  /** Drops the next session on this message, and dials again at once. */
  breakAt?(name: FrontEndName, index: number): void;
  /** Sends packets to the guest on the first pair. A real switch has none of its own. */
  inject?(first: number, count: number): void;
  /** Bytes of QEMU that were not read yet. */
  unread(): number;
  close(): Promise<void>;
}

/** The mock peer as such a back-end. */
export class MockBackEnd implements BackEnd {
  readonly path: string;
  readonly recorder = new Recorder();
  readonly #peer: Peer;

  constructor({ role, path, profile }: { role: Role; path: string; profile: Profile }) {
    this.path = path;
    this.#peer = new Peer({ role, path, profile, recorder: this.recorder });
  }

  arrive(startup: boolean): Promise<void> {
    return this.#peer.arrive({}, startup);
  }

  leave(how: 'kill' | 'exit'): Promise<void> {
    return how === 'kill' ? this.#peer.leave('abort', 'keep') : this.#peer.leave('close', 'remove');
  }

  breakAt(name: FrontEndName, index: number): void {
    const unlisten = this.recorder.listen((event) => {
      if (event.type !== 'wire.recv' || event.name !== name) return;
      if ((event.body as { index?: number }).index !== index) return;
      unlisten();
      this.#peer.session!.leave('abort');
    });
  }

  inject(first: number, count: number): void {
    this.#peer.traffic.queueRx(0, first, count);
    this.#peer.pumpRx();
  }

  unread(): number {
    return this.#peer.session?.unread ?? 0;
  }

  close(): Promise<void> {
    return this.#peer.close();
  }
}
