import { performance } from 'node:perf_hooks';
import type { Event, EventBody, EventOf, EventType, Ms } from './events.js';
import { Timeline } from './timeline.js';

/** Called with each event right after it was recorded. A listener that throws is a bug of the tester and is not caught. */
export type Listener = (event: Event) => void;

/** What acts or watches needs of a recorder. */
export type Recording = Pick<Recorder, 'record' | 'now' | 'latest'>;

/** How a recorder differs from one that keeps everything, on a clock of its own. */
export interface RecorderOptions {
  /** Takes over the clock of another recorder. */
  like?: Recorder;
  /** So many events stay in memory at least: for what goes on without end, and is stored as it comes. */
  keep?: number;
}

/** Records what happens, in order, against one monotonic clock. Everything that acts or watches gets the same recorder. */
export class Recorder {
  readonly #origin: number;
  readonly #keep: number;
  #events: Event[] = [];
  #recorded = 0;
  readonly #latest = new Map<EventType, Event>();
  readonly #listeners = new Set<Listener>();

  /** Keeps everything, on a clock of its own, unless told otherwise. */
  constructor({ like, keep = Infinity }: RecorderOptions = {}) {
    this.#origin = like ? like.#origin : performance.now();
    this.#keep = keep;
  }

  /** Milliseconds since this recorder was made, or the one whose clock it has. */
  now(): Ms {
    return Math.round((performance.now() - this.#origin) * 1000) / 1000;
  }

  /** Stamps and keeps an event, then tells the listeners. */
  record(body: EventBody): Event {
    const event = { seq: this.#recorded++, t: this.now(), ...body } as Event;
    this.#events.push(event);
    if (this.#events.length >= 2 * this.#keep) this.#events = this.#events.slice(-this.#keep);
    this.#latest.set(event.type, event);
    for (const listener of this.#listeners) listener(event);
    return event;
  }

  /** Calls `listener` for every later event. @returns a function that ends it. */
  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The last event of a type so far. */
  latest<T extends EventType>(type: T): EventOf<T> | undefined {
    return this.#latest.get(type) as EventOf<T> | undefined;
  }

  /** The events so far, or those that are kept; grows while recording goes on. */
  get events(): readonly Event[] {
    return this.#events;
  }

  /** What was recorded so far, or is kept of it, as a timeline of its own. */
  timeline(): Timeline {
    return new Timeline([...this.#events]);
  }
}
