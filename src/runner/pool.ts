/** How much may run at a time. */
export interface Width<T> {
  /** Jobs. */
  all: number;
  /** Of these, heavy ones; all without. */
  heavy?: number;
  /** Which ones are; none without. */
  isHeavy?(job: T): boolean;
}

/**
 * Runs jobs side by side, at most `width` at a time, in the order of `before` as far as there is room. A job may add further
 * ones. Once a job rejects or `signal` is aborted no further one starts; the first rejection is passed on when the running ones
 * ended.
 */
export async function pool<T>(
  jobs: readonly T[],
  width: number | Width<T>,
  signal: AbortSignal,
  run: (job: T, add: (jobs: readonly T[]) => void) => Promise<void>,
  before: (a: T, b: T) => number = () => 0,
): Promise<void> {
  const { all, heavy = all, isHeavy = () => false } = typeof width === 'number' ? { all: width } : width;
  let waiting = jobs.toSorted(before);
  const running = new Set<Promise<void>>();
  let heavyRunning = 0;
  const failures: unknown[] = [];
  const add = (more: readonly T[]) => {
    waiting = [...waiting, ...more].sort(before);
  };
  const start = (job: T) => {
    const weight = isHeavy(job) ? 1 : 0;
    heavyRunning += weight;
    const ended = run(job, add)
      .catch((error: unknown) => {
        failures.push(error);
      })
      .finally(() => {
        heavyRunning -= weight;
        running.delete(ended);
      });
    running.add(ended);
  };
  for (;;) {
    while (running.size < all && !signal.aborted && failures.length === 0) {
      const next = waiting.findIndex((job) => heavyRunning < heavy || !isHeavy(job));
      if (next < 0) break;
      start(waiting.splice(next, 1)[0]!);
    }
    if (running.size === 0) break;
    await Promise.race(running);
  }
  if (failures.length > 0) throw failures[0];
}
