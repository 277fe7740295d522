/**
 * Runs jobs side by side, at most `width` at a time, in the given order. A job that rejects rejects the whole pool after
 * the running ones ended. Once `signal` is aborted no further job starts.
 */
export async function pool<T>(
  jobs: readonly T[],
  width: number,
  signal: AbortSignal,
  run: (job: T) => Promise<void>,
): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < jobs.length && !signal.aborted) await run(jobs[next++]!);
  };
  const settled = await Promise.allSettled(Array.from({ length: Math.min(width, jobs.length) }, worker));
  for (const result of settled) if (result.status === 'rejected') throw result.reason;
}
