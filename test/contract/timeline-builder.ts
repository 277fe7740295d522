import { type Event, type EventBody, type EventOf, type EventType, Timeline } from '../../src/timeline/index.js';

/** An event with its time; sequence numbers are given when the timeline is made. */
export type Timed = EventBody & { t: number };

/** An event of a given type, with its time. */
export type TimedOf<T extends EventType> = Extract<EventBody, { type: T }> & { t: number };

type Test<T extends EventType> = (event: TimedOf<T>) => boolean;

/** Numbers the events in order of time. */
export function timelineOf(events: readonly Timed[]): Timeline {
  const sorted = events.toSorted((a, b) => a.t - b.t);
  return new Timeline(sorted.map((event, seq) => ({ ...event, seq }) as Event));
}

/** A timeline to be changed: every method gives a changed copy, so that a good one can be broken in many ways. */
export class Story {
  constructor(readonly events: readonly Timed[]) {}

  timeline(): Timeline {
    return timelineOf(this.events);
  }

  /** The nth (from 0; negative from the end) event of a type that passes. */
  find<T extends EventType>(type: T, test: Test<T> = () => true, nth = 0): TimedOf<T> {
    const found = this.events
      .filter((event): event is TimedOf<T> => event.type === type && test(event as TimedOf<T>))
      .at(nth);
    if (!found) throw new Error(`the story has no such ${type}`);
    return found;
  }

  /** Without the events of a type that pass. */
  without<T extends EventType>(type: T, test: Test<T> = () => true): Story {
    return new Story(this.events.filter((event) => event.type !== type || !test(event as TimedOf<T>)));
  }

  /** With fields of the events of a type that pass replaced. */
  with<T extends EventType>(
    type: T,
    test: Test<T>,
    patch: Partial<TimedOf<T>> | ((event: TimedOf<T>) => Partial<TimedOf<T>>),
  ): Story {
    let hits = 0;
    const events = this.events.map((event) => {
      if (event.type !== type || !test(event as TimedOf<T>)) return event;
      hits++;
      return { ...event, ...(typeof patch === 'function' ? patch(event as TimedOf<T>) : patch) } as Timed;
    });
    if (hits === 0) throw new Error(`the story has no such ${type}`);
    return new Story(events);
  }

  /** With more events, each at its time (after those of the same time). */
  plus(...events: Timed[]): Story {
    return new Story([...this.events, ...events]);
  }

  /** With everything from `t` on later by `by`. */
  stretch(t: number, by: number): Story {
    return new Story(this.events.map((event) => (event.t < t ? event : { ...event, t: event.t + by })));
  }

  /** Only what passes. */
  only(test: (event: Timed) => boolean): Story {
    return new Story(this.events.filter(test));
  }

  /** What is recorded before `t`, and QEMU dead of a signal there. */
  crash(t: number, signal = 'SIGABRT'): Story {
    return this.only((event) => event.t < t).plus(
      { t, type: 'qemu.exit', code: null, signal },
      { t: t + 1, type: 'run.end' },
    );
  }
}

/** Collects events while a clock runs. */
export class Tape {
  now = 0;
  readonly events: Timed[] = [];

  /** Records at the present time; the clock then goes on by `step` ms. */
  add(body: EventBody, step = 0.1): this {
    this.events.push({ ...body, t: this.now } as Timed);
    this.now = Math.round((this.now + step) * 1000) / 1000;
    return this;
  }

  /** Lets time pass. */
  wait(ms: number): this {
    this.now += ms;
    return this;
  }

  /** The last event of a type. */
  last<T extends EventType>(type: T): EventOf<T> | undefined {
    return this.events.findLast((event) => event.type === type) as EventOf<T> | undefined;
  }
}
