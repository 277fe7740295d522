import type { Driver } from '../driver/index.js';
import type { Ms, Recorder } from '../timeline/index.js';

/** From one round of kicks to the next while nothing hurries: often enough that none of QEMU's states passes without one. */
const BEAT_MS: Ms = 5;

/** Kicks in one round while it hurries: they keep QEMU's main loop busy for longer than it takes to send the next. */
const HURRIED_KICKS = 512;

/** With two rounds at a time there is always a kick on its way. */
const HANDS = 2;

export interface BusyDriverOptions {
  driver: Pick<Driver, 'kick' | 'transmit' | 'room'>;
  recorder: Recorder;
  /** Queue pairs to keep busy. */
  pairs: number;
  /** Numbers a packet of a pair, where every round shall have one; otherwise the rings are kicked as they are. */
  number?: (pair: number) => number;
  /** Whether a peer is there and its rings do not run yet: the moment to kick without a pause. */
  underWay(): boolean;
  /** Whether all rings run. */
  running(): boolean;
}

/**
 * A guest that does not mind what its device does: it kicks its TX rings round after round, each kick awaited. It works from
 * when it is made until rest().
 */
export class BusyDriver {
  readonly #o: BusyDriverOptions;
  readonly #work: Promise<unknown>;
  readonly #pauses = new Set<() => void>();
  #resting = false;
  /** A peer is about to come. */
  #expecting = false;
  /** Resolve when the next hurried round has been sent. */
  #watching: (() => void)[] = [];

  constructor(options: BusyDriverOptions) {
    this.#o = options;
    this.#work = Promise.all(Array.from({ length: HANDS }, () => this.#keepOn()));
    // Whoever has it rest is told; until then nobody looks.
    this.#work.catch(() => {});
  }

  /** Hurries from now on until the rings run. Resolves when the kicks of a round have just left: QEMU has them before it. */
  async hurry(): Promise<void> {
    this.#expecting = true;
    const sent = new Promise<void>((resolve) => this.#watching.push(resolve));
    this.#wake();
    await Promise.race([sent, this.#work.catch(() => {})]);
  }

  /** Ends it. Resolves when the last kick is done. @throws what ended it before */
  async rest(): Promise<void> {
    this.#resting = true;
    this.#wake();
    await this.#work;
  }

  async #keepOn(): Promise<void> {
    const unlisten = this.#o.recorder.listen(({ type }) => {
      if (type === 'session.open') this.#wake();
    });
    try {
      while (!this.#resting) {
        const hurried = this.#isHurried();
        const kicks = hurried ? Math.ceil(HURRIED_KICKS / this.#o.pairs) : 1;
        const rounds = Array.from({ length: this.#o.pairs }, (_, pair) => this.#round(pair, kicks));
        // What is sent in one turn of the event loop leaves at its end.
        if (hurried) for (const tell of this.#watching.splice(0)) setImmediate(tell);
        await Promise.all(rounds);
        if (!this.#resting && !this.#isHurried()) await this.#pause();
      }
    } finally {
      unlisten();
    }
  }

  #isHurried(): boolean {
    if (this.#o.running()) this.#expecting = false;
    return this.#expecting || this.#o.underWay();
  }

  async #round(pair: number, kicks: number): Promise<void> {
    const { driver, number } = this.#o;
    // A full ring is kicked all the same: a guest that waits for room does so.
    if (number && driver.room(pair) > 0) await driver.transmit(pair, number(pair), 1);
    await driver.kick(pair, kicks);
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.#pauses.delete(end);
        resolve();
      };
      const timer = setTimeout(end, BEAT_MS);
      this.#pauses.add(end);
    });
  }

  #wake(): void {
    for (const end of this.#pauses) end();
  }
}
