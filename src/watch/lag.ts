import { performance } from 'node:perf_hooks';

const TICK_MS = 10;

/**
 * How late the tester's own event loop runs, as one growing count for the whole process: what it adds to every latency
 * that is measured here. It ticks only while somebody holds it.
 */
class LagMeter {
  #holders = 0;
  #timer: NodeJS.Timeout | undefined;
  #expected = 0;
  #total = 0;

  /** Starts counting. @returns a function that ends it. */
  hold(): () => void {
    if (this.#holders++ === 0) this.#arm();
    let held = true;
    return () => {
      if (held && --this.#holders === 0) clearTimeout(this.#timer);
      held = false;
    };
  }

  /** Milliseconds late in all; while held, the running delay included. */
  get total(): number {
    return this.#holders === 0 ? this.#total : this.#total + this.#late();
  }

  /** A timer is a millisecond coarse; only what exceeds that is lateness. */
  #late(): number {
    return Math.max(0, performance.now() - this.#expected - 1);
  }

  #arm(): void {
    this.#expected = performance.now() + TICK_MS;
    this.#timer = setTimeout(() => {
      this.#total += this.#late();
      this.#arm();
    }, TICK_MS);
    this.#timer.unref();
  }
}

export const lagMeter = new LagMeter();
