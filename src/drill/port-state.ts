import type { Event } from '../timeline/index.js';
import type { PortState } from './view.js';

/** Rings by number: started, enabled. */
interface Ring {
  started: boolean;
  enabled: boolean;
}

/** Follows the events of one port. */
export class PortTracker {
  readonly state: Omit<PortState, 'profile'>;
  #listening = false;
  /** QEMU's property `connected` can be read. */
  #qom = false;
  readonly #rings = new Map<number, Ring>();
  /** Clients that wait behind the one that is served, and whether QEMU has spoken to them. */
  readonly #behind = new Map<number, { spoken: boolean }>();

  constructor(about: Pick<PortState, 'port' | 'role' | 'socket'>) {
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
        if (event.extra) this.#behind.set(event.session, { spoken: false });
        else this.#serve(event.session);
        break;
      case 'session.close':
        this.#behind.delete(event.session);
        if (event.session !== state.session) break;
        delete state.session;
        state.peer = this.#listening && state.role === 'client' ? 'waiting' : 'away';
        state.chardev = 'DISCONNECTED';
        if (event.cut !== undefined) delete state.cut;
        this.#clearRings();
        this.#serveNext();
        break;
      case 'wire.recv':
        if (this.#behind.has(event.session)) this.#behind.set(event.session, { spoken: true });
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
        this.#ring(event, { started: true, enabled: event.enabled });
        break;
      case 'ring.stop':
        this.#ring(event, { started: false });
        break;
      case 'ring.enable':
        this.#ring(event, { enabled: event.enabled });
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

  #serve(session: number, spoken = false): void {
    this.state.session = session;
    this.state.peer = 'connected';
    this.state.chardev = spoken ? 'CONNECTED' : 'CONNECTING';
    this.#clearRings();
  }

  /** The peer's next session is that of who has waited longest. */
  #serveNext(): void {
    const [next] = this.#behind;
    if (!next) return;
    this.#behind.delete(next[0]);
    this.#serve(next[0], next[1].spoken);
  }

  #ring({ session, ring }: { session: number; ring: number }, change: Partial<Ring>): void {
    if (session !== this.state.session) return;
    this.#rings.set(ring, { ...(this.#rings.get(ring) ?? { started: false, enabled: false }), ...change });
    this.#showRings();
  }

  #clearRings(): void {
    this.#rings.clear();
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
