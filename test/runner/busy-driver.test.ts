import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { BusyDriver, type BusyDriverOptions } from '../../src/runner/busy-driver.js';
import { Recorder } from '../../src/timeline/index.js';

const turn = () => new Promise(setImmediate);

// The driver's pause ends when a test says so: on a slow machine a real one is over before what shall cut it short.
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** A driver whose kicks are answered when the test says so. */
class SlowDriver {
  readonly done: string[] = [];
  rooms = 100;
  /** Kicks under way, each a pair and how many in a row. */
  readonly kicks: { pair: number; times: number; answer(): void; refuse(error: Error): void }[] = [];

  room = () => this.rooms;

  async transmit(pair: number, first: number, count: number): Promise<void> {
    this.done.push(`${pair}: ${first}+${count}`);
  }

  kick(pair: number, times: number): Promise<void> {
    return new Promise((answer, refuse) => this.kicks.push({ pair, times, answer, refuse }));
  }

  /** Answers all that is under way. */
  async answer(): Promise<void> {
    for (const kick of this.kicks.splice(0)) kick.answer();
    await turn();
  }
}

function busy(options: Partial<BusyDriverOptions> = {}) {
  const recorder = new Recorder();
  const driver = new SlowDriver();
  const state = { underWay: false, running: true };
  const made = new BusyDriver({
    ...{ driver, recorder, pairs: 1, underWay: () => state.underWay, running: () => state.running },
    ...options,
  });
  return { made, driver, state, recorder };
}

/** Has both hands' pause end: resolves when so many kicks are under way. */
async function beat(driver: SlowDriver, count: number): Promise<void> {
  expect(driver.kicks).toEqual([]);
  expect(vi.getTimerCount()).toBe(2);
  vi.advanceTimersByTime(10);
  await underWay(driver, count);
}

/** Resolves when so many kicks are under way. */
async function underWay(driver: SlowDriver, count: number): Promise<void> {
  while (driver.kicks.length < count) await turn();
}

describe('a driver that is kept at it', () => {
  it('kicks every pair, with two rounds at a time, and not before the last is answered', async () => {
    const { made, driver } = busy({ pairs: 2 });
    expect(driver.kicks.map(({ pair, times }) => [pair, times])).toEqual([0, 1, 0, 1].map((pair) => [pair, 1]));
    for (let i = 0; i < 20; i++) await turn();
    expect(driver.kicks).toHaveLength(4);
    await driver.answer();
    await beat(driver, 4);
    let rested = false;
    const rest = made.rest().then(() => {
      rested = true;
    });
    await turn();
    expect(rested).toBe(false);
    await driver.answer();
    await rest;
    expect(driver.kicks).toEqual([]);
  });

  it('has a packet with a number of its own before each kick, where there is room', async () => {
    let next = 0;
    const { made, driver } = busy({ number: () => next++ });
    await turn();
    await underWay(driver, 2);
    expect(driver.done).toEqual(['0: 0+1', '0: 1+1']);
    driver.rooms = 0;
    await driver.answer();
    await beat(driver, 2);
    expect(driver.done).toHaveLength(2);
    const rest = made.rest();
    await driver.answer();
    await rest;
  });

  it('hurries from when it is told to until the rings run, and says when the kicks have left', async () => {
    const { made, driver, state } = busy({ pairs: 2 });
    state.running = false;
    await driver.answer();
    const hurried = made.hurry();
    await hurried;
    // Both hands are back from their pause, with as many kicks as there are for all pairs.
    await underWay(driver, 4);
    expect(driver.kicks.map(({ times }) => times)).toEqual([256, 256, 256, 256]);
    await driver.answer();
    expect(driver.kicks).toHaveLength(4);
    state.running = true;
    await driver.answer();
    await beat(driver, 4);
    expect(driver.kicks.map(({ times }) => times)).toEqual([1, 1, 1, 1]);
    const rest = made.rest();
    await driver.answer();
    await rest;
  });

  it('hurries while rings are under way, from the session on', async () => {
    const { made, driver, state, recorder } = busy();
    await driver.answer();
    state.underWay = true;
    recorder.record({ type: 'session.open', session: 2, by: 'dial', pid: 1 });
    await underWay(driver, 2);
    expect(driver.kicks.map(({ times }) => times)).toEqual([512, 512]);
    const rest = made.rest();
    await driver.answer();
    await rest;
  });

  it('tells what ended it when it shall rest, and keeps nobody who hurries it waiting', async () => {
    const { made, driver } = busy();
    for (const kick of driver.kicks.splice(0)) kick.refuse(new Error('QEMU is gone'));
    await turn();
    await made.hurry();
    await expect(made.rest()).rejects.toThrow('QEMU is gone');
  });
});
