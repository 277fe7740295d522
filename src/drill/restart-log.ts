import type { Event, EventOf, Ms } from '../timeline/index.js';
import type { Restart } from './view.js';

/** A ping that was answered: when, and its number in a run of ping. */
interface Ping {
  t: Ms;
  run: string;
  seq: number;
}

/** Pings older than this when the back-end went say nothing about the outage: nobody was pinging. */
const PINGING_MS = 5000;

/** Follows the events of one port and keeps book of what each loss of the back-end cost. */
export class RestartLog {
  readonly restarts: Restart[] = [];
  /** The guest tells itself which of its pings were answered: then only its word counts. */
  #guestTells = false;
  #ping: Ping | undefined;
  readonly #running = new Set<number>();
  readonly #rings = new Map<number, { started: boolean; enabled: boolean }>();
  /** The session that opened last. */
  #newest = 0;
  /** Clients that wait behind the one that is served. */
  readonly #behind = new Set<number>();
  /** The ring of the GET_VRING_BASE that is being answered. */
  #givenBack: number | undefined;
  /** Of the last loss: what ran, and the last ping before it. */
  #wanted: readonly number[] = [];
  #pingBefore: Ping | undefined;

  /** Takes the next event. @returns the restart that it changed */
  take(event: Event): Restart | undefined {
    switch (event.type) {
      case 'session.open':
        if (!event.extra) return this.#opened(event);
        this.#behind.add(event.session);
        return undefined;
      case 'session.close':
        return this.#behind.delete(event.session) ? undefined : this.#closed(event);
      case 'wire.recv':
        this.#givenBack = event.name === 'GET_VRING_BASE' ? (event.body as { index?: number }).index : undefined;
        return undefined;
      case 'ring.start':
      case 'ring.enable':
      case 'ring.stop':
        return this.#ring(event);
      case 'guest.ping':
        this.#guestTells = true;
        return this.#pinged({ t: event.t, run: `${event.nic} ${event.epoch}`, seq: event.number });
      case 'guest.echo': {
        if (this.#guestTells) return undefined;
        const [first, last] = [event.seqs[0]![0], event.seqs.at(-1)![1]];
        const run = `${event.from} ${event.id}`;
        const changed = this.#pinged({ t: event.t, run, seq: first });
        this.#ping = { t: event.t, run, seq: last };
        return changed;
      }
      default:
        return undefined;
    }
  }

  /** Rings that the guest has, or had when the back-end went. */
  get wanted(): readonly number[] {
    return this.#open && this.#open.ringsMs === undefined ? this.#wanted : [...this.#running];
  }

  get #open(): Restart | undefined {
    return this.restarts.at(-1);
  }

  #closed(event: EventOf<'session.close'>): Restart | undefined {
    // Rings stop right before the close is recorded: what ran is what ran before that.
    const wanted = [...this.#running];
    this.#running.clear();
    this.#rings.clear();
    const before = this.#open;
    // A loss in the middle of a return: what is to come back is what was there before it all.
    const healed = before === undefined || before.ringsMs !== undefined;
    if (healed || wanted.length > 0) this.#wanted = wanted;
    if (before === undefined || before.outageMs !== undefined || this.#pingBefore === undefined)
      this.#pingBefore = this.#ping && event.t - this.#ping.t <= PINGING_MS ? this.#ping : undefined;
    // The next connection may have been there before this one ended: it waits in QEMU's backlog, or behind at the peer.
    let there = this.#newest > event.session;
    const [next] = this.#behind;
    if (!there && next !== undefined) {
      this.#behind.delete(next);
      this.#newest = next;
      there = true;
    }
    const restart: Restart = {
      number: this.restarts.length + 1,
      at: event.t,
      session: event.session,
      by: event.by,
      how: event.cut ?? event.how,
      ...(there ? { backMs: 0 } : {}),
    };
    this.restarts.push(restart);
    return restart;
  }

  #opened({ t, session }: EventOf<'session.open'>): Restart | undefined {
    this.#newest = session;
    const restart = this.#open;
    if (!restart || restart.backMs !== undefined) return undefined;
    restart.backMs = t - restart.at;
    return restart;
  }

  #ring(event: EventOf<'ring.start' | 'ring.enable' | 'ring.stop'>): Restart | undefined {
    const state = this.#rings.get(event.ring) ?? { started: false, enabled: false };
    this.#rings.set(event.ring, state);
    // At the end of a session all its rings stop; what QEMU took back before is not missed.
    if (event.type === 'ring.stop') {
      state.started = false;
      if (this.#givenBack === event.ring) this.#running.delete(event.ring);
      this.#givenBack = undefined;
      return undefined;
    }
    state.enabled = event.enabled;
    if (event.type === 'ring.start') state.started = true;
    if (!state.started || !state.enabled) return undefined;
    this.#running.add(event.ring);
    const restart = this.#open;
    const all = this.#wanted.length > 0 && this.#wanted.every((ring) => this.#running.has(ring));
    if (!restart || restart.backMs === undefined || restart.ringsMs !== undefined || !all) return undefined;
    restart.ringsMs = event.t - restart.at;
    return restart;
  }

  #pinged(ping: Ping): Restart | undefined {
    this.#ping = ping;
    const restart = this.#open;
    const before = this.#pingBefore;
    // What was under way when the session ended may still be told after it: without a ring nothing is answered.
    if (!restart || this.#running.size === 0 || restart.outageMs !== undefined || !before) return undefined;
    restart.outageMs = ping.t - before.t;
    if (ping.run === before.run) restart.lost = Math.max(0, ((ping.seq - before.seq + 0x10000) & 0xffff) - 1);
    return restart;
  }
}
