import type { Event, EventOf, EventType, Ms, RunBegin } from './events.js';

/** A finished (or stored) list of events with the queries that judges share. Immutable. */
export class Timeline {
  readonly events: readonly Event[];
  readonly #byType = new Map<EventType, Event[]>();

  /** @param events in recorded order: `seq` rising, `t` not falling. */
  constructor(events: readonly Event[]) {
    this.events = events;
    for (const event of events) {
      const list = this.#byType.get(event.type);
      if (list) list.push(event);
      else this.#byType.set(event.type, [event]);
    }
  }

  /** The variant's context. @throws Error when the timeline does not start with `run.begin`. */
  get context(): RunBegin {
    const first = this.events[0];
    if (first?.type !== 'run.begin') throw new Error('timeline does not start with run.begin');
    return first;
  }

  /** When the last event happened; 0 for an empty timeline. */
  get end(): Ms {
    return this.events.at(-1)?.t ?? 0;
  }

  /** All events of one type, in order. */
  all<T extends EventType>(type: T): readonly EventOf<T>[] {
    return (this.#byType.get(type) ?? []) as EventOf<T>[];
  }

  /** The first event of a type that satisfies `test`, optionally only after event number `afterSeq`. */
  first<T extends EventType>(type: T, test: (event: EventOf<T>) => boolean = () => true, afterSeq = -1) {
    return this.all(type).find((event) => event.seq > afterSeq && test(event));
  }

  /** The last event of a type that satisfies `test`, optionally only before event number `beforeSeq`. */
  last<T extends EventType>(type: T, test: (event: EventOf<T>) => boolean = () => true, beforeSeq = Infinity) {
    return this.all(type).findLast((event) => event.seq < beforeSeq && test(event));
  }

  /** The sessions with their open and close events, in the order of opening. */
  get sessions(): readonly SessionSpan[] {
    return this.all('session.open').map((open) => {
      const close = this.first('session.close', (event) => event.session === open.session, open.seq);
      return close ? { session: open.session, open, close } : { session: open.session, open };
    });
  }

  /**
   * Time between two moments that the machine, not QEMU, took: the tester's event loop late, or QEMU's main thread
   * waiting for a CPU. A bound on QEMU's reaction is judged after subtracting it. Both may have been at once, so that
   * between two samples it is never more than the time that passed.
   */
  starved(from: Ms, to: Ms): Ms {
    const list = this.all('pace');
    const first = Math.max(0, list.findLastIndex((e) => e.t <= from) + 1);
    const after = list.findIndex((e) => e.t >= to);
    let sum = 0;
    for (let i = first; i <= (after < 0 ? list.length - 1 : after); i++) {
      const [before, now] = [list[i - 1] ?? { t: 0, lag: 0, delay: 0 }, list[i]!];
      sum += Math.min(now.t - before.t, now.lag + now.delay - before.lag - before.delay);
    }
    return sum;
  }

  /** CPU time that QEMU's main thread certainly had between two moments: between the samples within. */
  ran(from: Ms, to: Ms): Ms {
    const list = this.all('pace').filter((e) => e.t >= from && e.t <= to);
    return Math.max(0, (list.at(-1)?.ran ?? 0) - (list[0]?.ran ?? 0));
  }
}

/** One connection; `close` is absent when it was still open at the end. */
export interface SessionSpan {
  session: number;
  open: EventOf<'session.open'>;
  close?: EventOf<'session.close'>;
}
