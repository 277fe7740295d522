import { expect, test } from 'vitest';
import { pool } from '../../src/runner/pool.js';

/** Jobs that end when the test says so. */
class Jobs {
  readonly started: number[] = [];
  readonly #ends = new Map<number, { resolve: () => void; reject: (reason: Error) => void }>();
  readonly run = (job: number): Promise<void> => {
    this.started.push(job);
    return new Promise((resolve, reject) => this.#ends.set(job, { resolve, reject }));
  };
  async end(job: number): Promise<void> {
    this.#ends.get(job)!.resolve();
    await new Promise(setImmediate);
  }
  async fail(job: number): Promise<void> {
    this.#ends.get(job)!.reject(new Error(`job ${job}`));
    await new Promise(setImmediate);
  }
}

const never = new AbortController().signal;

test('as many run side by side as allowed, in the given order', async () => {
  const jobs = new Jobs();
  const done = pool([1, 2, 3, 4, 5], 2, never, jobs.run);
  expect(jobs.started).toEqual([1, 2]);
  await jobs.end(2);
  expect(jobs.started).toEqual([1, 2, 3]);
  await jobs.end(3);
  await jobs.end(1);
  expect(jobs.started).toEqual([1, 2, 3, 4, 5]);
  await jobs.end(4);
  await jobs.end(5);
  await done;
});

test('of heavy ones fewer run side by side, and the others do not wait for them', async () => {
  const jobs = new Jobs();
  const width = { all: 3, heavy: 1, isHeavy: (job: number) => job >= 10 };
  const done = pool([10, 11, 1, 2, 3], width, never, jobs.run);
  expect(jobs.started).toEqual([10, 1, 2]);
  await jobs.end(1);
  expect(jobs.started).toEqual([10, 1, 2, 3]);
  await jobs.end(10);
  expect(jobs.started).toEqual([10, 1, 2, 3, 11]);
  for (const job of [2, 3, 11]) await jobs.end(job);
  await done;
});

test('a width beyond the number of jobs, and no jobs at all', async () => {
  const jobs = new Jobs();
  const done = pool([1], 100, never, jobs.run);
  await jobs.end(1);
  await done;
  await pool([], 4, never, jobs.run);
  expect(jobs.started).toEqual([1]);
});

test('a job adds further ones, which go to where they belong', async () => {
  const ran: number[] = [];
  const further: Record<number, number[]> = { 1: [10, 4], 4: [5] };
  const run = async (job: number, add: (jobs: number[]) => void) => {
    ran.push(job);
    add(further[job] ?? []);
  };
  await pool([6, 1, 12], 1, never, run, (a, b) => a - b);
  expect(ran).toEqual([1, 4, 5, 6, 10, 12]);
});

test('further jobs run although the others were through', async () => {
  const jobs = new Jobs();
  const done = pool([1, 2], 2, never, async (job, add) => {
    await jobs.run(job);
    if (job === 1) add([3, 4]);
  });
  await jobs.end(2);
  await jobs.end(1);
  expect(jobs.started).toEqual([1, 2, 3, 4]);
  await jobs.end(3);
  await jobs.end(4);
  await done;
});

test('once aborted no further job starts; the running ones end', async () => {
  const jobs = new Jobs();
  const { signal, abort } = (() => {
    const controller = new AbortController();
    return { signal: controller.signal, abort: () => controller.abort() };
  })();
  let over = false;
  const done = pool([1, 2, 3], 2, signal, jobs.run).then(() => {
    over = true;
  });
  abort();
  await jobs.end(1);
  expect(over).toBe(false);
  await jobs.end(2);
  await done;
  expect(jobs.started).toEqual([1, 2]);
  await pool([1], 1, signal, jobs.run);
  expect(jobs.started).toEqual([1, 2]);
});

test('a job that rejects rejects the pool, after the others ended', async () => {
  const jobs = new Jobs();
  let outcome: unknown;
  const done = pool([1, 2], 2, never, jobs.run).catch((reason: unknown) => {
    outcome = reason;
  });
  await jobs.fail(1);
  expect(outcome).toBeUndefined();
  await jobs.end(2);
  await done;
  expect(outcome).toEqual(new Error('job 1'));
});
