import { countFds, countThreads, mainThreadTimes, memoryOf } from '../os/index.js';
import type { Recording } from '../timeline/index.js';
import { lagMeter } from './lag.js';

/** CPU time of QEMU's main thread that is worth an event by itself; an idle one takes a millisecond or two between samples. */
const BUSY_MS = 20;

/** Samples what /proc tells of QEMU: descriptors, threads, and how its main thread got on. */
export class ProcessWatch {
  /** Held before the count is read: a meter that nobody holds does not count. */
  readonly #release = lagMeter.hold();
  readonly #lagStart = lagMeter.total;
  #lastLag = 0;
  #lastDelay = 0;
  #lastRan = 0;

  constructor(
    private readonly pid: number,
    private readonly recorder: Recording,
  ) {}

  /** Reads now; a process that is gone is nothing to record. `settled`: see the event; it is then recorded in any case. */
  sample(settled = false): void {
    this.#pace();
    const fds = countFds(this.pid);
    const threads = countThreads(this.pid);
    if (fds === undefined || threads === undefined) return;
    const last = this.recorder.latest('proc.sample');
    if (settled || last?.fds !== fds || last.threads !== threads)
      this.recorder.record({
        type: 'proc.sample',
        fds,
        threads,
        ...(settled ? { ...memoryOf(this.pid), settled } : {}),
      });
  }

  stop(): void {
    this.#pace();
    this.#release();
  }

  #pace(): void {
    const lag = Math.round(lagMeter.total - this.#lagStart);
    const times = mainThreadTimes(this.pid);
    const delay = Math.round(times?.delay ?? this.#lastDelay);
    const ran = Math.round(times?.ran ?? this.#lastRan);
    if (lag <= this.#lastLag && delay <= this.#lastDelay && ran < this.#lastRan + BUSY_MS) return;
    this.#lastLag = Math.max(lag, this.#lastLag);
    this.#lastDelay = Math.max(delay, this.#lastDelay);
    this.#lastRan = Math.max(ran, this.#lastRan);
    this.recorder.record({ type: 'pace', lag: this.#lastLag, delay: this.#lastDelay, ran: this.#lastRan });
  }
}
