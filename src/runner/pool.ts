/**
 * Runs jobs side by side, at most `width` at a time, in the given order. Once a job rejects or `signal` is aborted no further
 * one starts; the first rejection is passed on when the running ones ended.
 */
export async function pool<T>(
  jobs: readonly T[],
  width: number,
  signal: AbortSignal,
  run: (job: T) => Promise<void>,
): Promise<void> {
  let next = 0;
  let failed = false;
  const worker = async () => {
    while (next < jobs.length && !signal.aborted && !failed)
      await run(jobs[next++]!).catch((error: unknown) => {
        failed = true;
        throw error;
      });
  };
  const settled = await Promise.allSettled(Array.from({ length: Math.min(width, jobs.length) }, worker));
  for (const result of settled) if (result.status === 'rejected') throw result.reason;
}
