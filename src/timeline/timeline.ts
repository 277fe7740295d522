import type { Event, EventOf, EventType, Ms, RunBegin } from './events.js';

/** The types of events that happen on a session. */
export type SessionEventType = { [T in EventType]: EventOf<T> extends { session: number } ? T : never }[EventType];

/** A finished (or stored) list of events with the queries that judges share. Immutable. */
export class Timeline {
  readonly events: readonly Event[];
  readonly #byType = new Map<EventType, Event[]>();
  readonly #bySession = new Map<EventType, Map<number, Event[]>>();

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

  /** All events of one type on one session, in order. */
  of<T extends SessionEventType>(type: T, session: number): readonly EventOf<T>[] {
    let groups = this.#bySession.get(type);
    if (!groups) {
      groups = new Map();
      this.#bySession.set(type, groups);
      for (const event of this.all(type) as readonly (Event & { session: number })[]) {
        const group = groups.get(event.session);
        if (group) group.push(event);
        else groups.set(event.session, [event]);
      }
    }
    return (groups.get(session) ?? []) as EventOf<T>[];
  }

  /** The first event of a type that satisfies `test`, optionally only after event number `afterSeq`. */
  first<T extends EventType>(type: T, test: (event: EventOf<T>) => boolean = () => true, afterSeq = -1) {
    const list = this.all(type);
    for (let i = firstIndex(list, ({ seq }) => seq > afterSeq); i < list.length; i++)
      if (test(list[i]!)) return list[i];
    return undefined;
  }

  /** The last event of a type that satisfies `test`, optionally only before event number `beforeSeq`. */
  last<T extends EventType>(type: T, test: (event: EventOf<T>) => boolean = () => true, beforeSeq = Infinity) {
    const list = this.all(type);
    for (let i = firstIndex(list, ({ seq }) => seq >= beforeSeq) - 1; i >= 0; i--) if (test(list[i]!)) return list[i];
    return undefined;
  }

  /** The sessions with their open and close events, in the order of opening. */
  get sessions(): readonly SessionSpan[] {
    return this.all('session.open').map((open) => {
      const close = this.of('session.close', open.session).find(({ seq }) => seq > open.seq);
      return close ? { session: open.session, open, close } : { session: open.session, open };
    });
  }

  /**
   * Time between two moments that the machine, not QEMU, took: the tester's event loop late, or QEMU's main thread
   * waiting for a CPU. A bound on QEMU's reaction is judged after subtracting it. Both may have been at once, so that
   * between two samples it is never more than the time that passed.
   */
  starved(from: Ms, to: Ms): Ms {
    return this.#grown(from, to, ({ lag, delay }) => lag + delay);
  }

  /** Of that the time in which the tester's event loop was late: nobody looked at QEMU. */
  unwatched(from: Ms, to: Ms): Ms {
    return this.#grown(from, to, ({ lag }) => lag);
  }

  /** The other part: QEMU's main thread waited for a CPU. */
  queued(from: Ms, to: Ms): Ms {
    return this.#grown(from, to, ({ delay }) => delay);
  }

  /** How much a count of the samples grew around a stretch of time: in each interval by no more than the interval is long. */
  #grown(from: Ms, to: Ms, count: (pace: Pick<EventOf<'pace'>, 'lag' | 'delay'>) => Ms): Ms {
    const list = this.all('pace');
    let sum = 0;
    for (let i = firstIndex(list, (e) => e.t > from); i < list.length; i++) {
      const [before, now] = [list[i - 1] ?? { t: 0, lag: 0, delay: 0 }, list[i]!];
      sum += Math.min(now.t - before.t, count(now) - count(before));
      if (now.t >= to) break;
    }
    return sum;
  }

  /** CPU time that QEMU's main thread certainly had between two moments: between the samples within. */
  ran(from: Ms, to: Ms): Ms {
    const list = this.all('pace');
    const first = firstIndex(list, (e) => e.t >= from);
    const last = firstIndex(list, (e) => e.t > to) - 1;
    return first > last ? 0 : Math.max(0, (list[last]!.ran ?? 0) - (list[first]!.ran ?? 0));
  }
}

/** The index of the first item that passes, where no item after it fails: found by halving, as timelines are long. */
export function firstIndex<T>(list: readonly T[], passes: (item: T) => boolean): number {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (passes(list[middle]!)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** One connection; `close` is absent when it was still open at the end. */
export interface SessionSpan {
  session: number;
  open: EventOf<'session.open'>;
  close?: EventOf<'session.close'>;
}
