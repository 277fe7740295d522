import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { performance } from 'node:perf_hooks';
import { describe, expect, onTestFinished, test } from 'vitest';
import { closeFd, memfd } from '../../src/os/index.js';
import { Recorder } from '../../src/timeline/index.js';
import { lagMeter, ProcessWatch } from '../../src/watch/index.js';

/** Keeps the event loop busy. */
function block(ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end; );
}

/** A watch on a process, ended with the test. */
function watched(pid = process.pid) {
  const recorder = new Recorder();
  const watch = new ProcessWatch(pid, recorder);
  onTestFinished(() => watch.stop());
  return { recorder, watch };
}

describe('descriptors and threads', () => {
  test('are recorded at first sight and at each change', () => {
    const { recorder, watch } = watched();
    watch.sample();
    watch.sample();
    const fd = memfd('one-more', 0);
    watch.sample();
    closeFd(fd);
    watch.sample();
    const samples = recorder.timeline().all('proc.sample');
    // Threads of node itself may come and go meanwhile.
    const fds = samples.map(({ fds }) => fds).filter((count, i, all) => count !== all[i - 1]);
    expect(fds).toEqual([fds[0], fds[0]! + 1, fds[0]]);
    expect(samples.every(({ threads }) => threads > 0)).toBe(true);
    expect(samples[0]).not.toHaveProperty('settled');
  });

  test('are recorded in any case once things have settled', () => {
    const { recorder, watch } = watched();
    watch.sample();
    watch.sample(true);
    expect(recorder.latest('proc.sample')).toMatchObject({ settled: true });
    expect(recorder.timeline().all('proc.sample').length).toBeGreaterThanOrEqual(2);
  });

  test('of a process that is gone are nothing', async () => {
    const child = spawn('true');
    await once(child, 'exit');
    const { recorder, watch } = watched(child.pid!);
    watch.sample();
    expect(recorder.latest('proc.sample')).toBeUndefined();
  });
});

describe('pace', () => {
  test('tells how late the event loop ran, also when nobody counted before', () => {
    block(20);
    const { recorder, watch } = watched();
    block(110);
    watch.sample();
    expect(recorder.latest('pace')!.lag).toBeGreaterThanOrEqual(90);
  });

  test('is cumulative and never falls', async () => {
    const { recorder, watch } = watched();
    for (let i = 0; i < 3; i++) {
      block(40);
      watch.sample();
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    const paces = recorder.timeline().all('pace');
    expect(paces.length).toBeGreaterThanOrEqual(3);
    paces.slice(1).forEach(({ lag, delay }, i) => {
      expect(lag).toBeGreaterThanOrEqual(paces[i]!.lag);
      expect(delay).toBeGreaterThanOrEqual(paces[i]!.delay);
      expect(lag + delay).toBeGreaterThan(paces[i]!.lag + paces[i]!.delay);
    });
  });

  test('is told a last time at the end', () => {
    const { recorder, watch } = watched();
    block(60);
    expect(recorder.latest('pace')).toBeUndefined();
    watch.stop();
    expect(recorder.latest('pace')!.lag).toBeGreaterThanOrEqual(40);
  });
});

test('the meter stands still while nobody holds it', async () => {
  const release = lagMeter.hold();
  block(30);
  await new Promise((resolve) => setTimeout(resolve, 1));
  release();
  const { total } = lagMeter;
  block(30);
  expect(lagMeter.total).toBe(total);
  release();
  const [first, second] = [lagMeter.hold(), lagMeter.hold()];
  first();
  first();
  block(30);
  expect(lagMeter.total).toBeGreaterThan(total + 10);
  second();
});
