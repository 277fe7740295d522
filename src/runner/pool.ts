/**
 * Runs jobs side by side, at most `width` at a time, in the order of `before`. A job may add further ones. Once a job
 * rejects or `signal` is aborted no further one starts; the first rejection is passed on when the running ones ended.
 */
export async function pool<T>(
  jobs: readonly T[],
  width: number,
  signal: AbortSignal,
  run: (job: T, add: (jobs: readonly T[]) => void) => Promise<void>,
  before: (a: T, b: T) => number = () => 0,
): Promise<void> {
  let waiting = jobs.toSorted(before);
  const running = new Set<Promise<void>>();
  const failures: unknown[] = [];
  const add = (more: readonly T[]) => {
    waiting = [...waiting, ...more].sort(before);
  };
  const start = (job: T) => {
    const ended = run(job, add)
      .catch((error: unknown) => {
        failures.push(error);
      })
      .finally(() => running.delete(ended));
    running.add(ended);
  };
  for (;;) {
    while (running.size < width && waiting.length > 0 && !signal.aborted && failures.length === 0)
      start(waiting.shift()!);
    if (running.size === 0) break;
    await Promise.race(running);
  }
  if (failures.length > 0) throw failures[0];
}
