import type { Event, EventBody, EventOf, EventType, Listener, Ms, Recorder, Recording } from '../timeline/index.js';

/** Records what happens to the whole QEMU in the timelines of all its ports, which share one clock. */
export class FanOut implements Recording {
  readonly #recorders: readonly Recorder[];
  readonly #ownerOf: (body: EventBody) => Recorder | undefined;

  /**
   * @param recorders at least one, of one clock
   * @param ownerOf whose alone an event is, if it is somebody's
   */
  constructor(recorders: readonly Recorder[], ownerOf: (body: EventBody) => Recorder | undefined = () => undefined) {
    this.#recorders = recorders;
    this.#ownerOf = ownerOf;
  }

  /** @returns the event as its owner has it, else the first of them */
  record(body: EventBody): Event {
    const owner = this.#ownerOf(body);
    if (owner) return owner.record(body);
    const [first, ...rest] = this.#recorders;
    const event = first!.record(body);
    for (const recorder of rest) recorder.record(body);
    return event;
  }

  now(): Ms {
    return this.#recorders[0]!.now();
  }

  /** Listens to the first of them. */
  listen(listener: Listener): () => void {
    return this.#recorders[0]!.listen(listener);
  }

  latest<T extends EventType>(type: T): EventOf<T> | undefined {
    return this.#recorders[0]!.latest(type);
  }
}
