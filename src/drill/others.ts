import type { Event, PeerOther, Recorder } from '../timeline/index.js';

type State = PeerOther['state'];

/** Follows one port: whether its back-end is there, and whether QEMU may be waiting for it. */
class Follower {
  state: State = 'away';
  readonly #open = new Set<number>();

  take(event: Event): void {
    switch (event.type) {
      case 'session.open':
        this.#open.add(event.session);
        this.#settle();
        break;
      case 'session.close':
        this.#open.delete(event.session);
        this.#settle();
        break;
      // It stays so until it is seen to go on.
      case 'peer.fault':
        this.state = 'owing';
        break;
      // QEMU may be in its backlog, and take itself for connected; where that is full it cannot.
      case 'peer.hung':
        if (!event.full) this.state = 'owing';
        break;
      case 'wire.recv':
      case 'wire.send':
      case 'peer.resumed':
      case 'peer.accepts':
      case 'peer.unlisten':
        this.#settle();
    }
  }

  #settle(): void {
    this.state = this.#open.size > 0 ? 'connected' : 'away';
  }
}

/** Has each of a QEMU's ports record what the back-ends of the others are in, as it changes. */
export function tellOthers(ports: readonly { name: string; recorder: Recorder }[]): void {
  for (const { name, recorder } of ports) {
    const follower = new Follower();
    recorder.listen((event) => {
      const before = follower.state;
      follower.take(event);
      const { state } = follower;
      if (state === before) return;
      for (const other of ports)
        if (other.recorder !== recorder) other.recorder.record({ type: 'peer.other', port: name, state });
    });
  }
}
