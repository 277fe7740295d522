import type { Event } from '../timeline/index.js';
import type { PortState } from './view.js';

/** Rings by number: started, enabled. */
interface Ring {
  started: boolean;
  enabled: boolean;
}

/** Follows the events of one port. */
export class PortTracker {
  readonly state: PortState;
  #listening = false;
  /** QEMU's property `connected` can be read. */
  #qom = false;
  readonly #rings = new Map<number, Ring>();

  constructor(about: Pick<PortState, 'port' | 'role' | 'socket' | 'profile'>) {
    this.state = { ...about, peer: 'away', chardev: 'DISCONNECTED', rings: { running: [], started: [] } };
  }

  /** Takes the next event. @returns whether the state changed */
  take(event: Event): boolean {
    const before = JSON.stringify(this.state);
    this.#apply(event);
    return JSON.stringify(this.state) !== before;
  }

  #apply(event: Event): void {
    const { state } = this;
    switch (event.type) {
      case 'peer.listen':
      case 'peer.dial':
      case 'peer.accepts':
        this.#listening = true;
        if (state.session === undefined) state.peer = 'waiting';
        break;
      case 'peer.unlisten':
      case 'peer.hung':
        this.#listening = false;
        if (state.session === undefined) state.peer = 'away';
        break;
      case 'session.open':
        if (event.extra) break;
        state.session = event.session;
        state.peer = 'connected';
        state.chardev = 'CONNECTING';
        this.#rings.clear();
        this.#showRings();
        break;
      case 'session.close':
        if (event.session !== state.session) break;
        delete state.session;
        state.peer = this.#listening && state.role === 'client' ? 'waiting' : 'away';
        state.chardev = 'DISCONNECTED';
        if (event.cut !== undefined) delete state.cut;
        this.#rings.clear();
        this.#showRings();
        break;
      case 'wire.recv':
        if (event.session !== state.session) break;
        state.chardev = 'CONNECTED';
        state.message = event.name;
        break;
      case 'peer.fault':
        if (event.fault === 'hold' && event.message === undefined) state.peer = 'frozen';
        break;
      case 'peer.resumed':
        state.peer = 'connected';
        break;
      case 'ring.start':
        this.#ring(event.ring, { started: true, enabled: event.enabled });
        break;
      case 'ring.stop':
        this.#ring(event.ring, { started: false });
        break;
      case 'ring.enable':
        this.#ring(event.ring, { enabled: event.enabled });
        break;
      case 'chardev.state':
        // Where the property can be read, what query-chardev says is the same, later.
        this.#qom ||= event.means === 'qom';
        if (event.means === 'qom' || !this.#qom) state.saysConnected = event.connected;
        break;
      case 'driver.link':
      case 'guest.carrier':
        state.link = event.up ? 'up' : 'down';
        break;
      case 'guest.echo':
      case 'guest.ping':
        state.pingAt = event.t;
        break;
      case 'qemu.exit':
        delete state.saysConnected;
        delete state.link;
        break;
    }
  }

  #ring(index: number, change: Partial<Ring>): void {
    this.#rings.set(index, { ...(this.#rings.get(index) ?? { started: false, enabled: false }), ...change });
    this.#showRings();
  }

  #showRings(): void {
    const rings = [...this.#rings].sort(([a], [b]) => a - b);
    this.state.rings = {
      started: rings.filter(([, { started }]) => started).map(([index]) => index),
      running: rings.filter(([, { started, enabled }]) => started && enabled).map(([index]) => index),
    };
  }
}
