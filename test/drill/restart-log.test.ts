import { describe, expect, it } from 'vitest';
import { RestartLog } from '../../src/drill/restart-log.js';
import type { EventBody } from '../../src/timeline/index.js';
import { closed, echo, enabled, feed, opened, ping, received, started, stopped } from './feed.js';

type Entry = [t: number, body: EventBody];

/** The log of what happened. */
function logOf(...entries: Entry[]): RestartLog {
  const log = new RestartLog();
  feed(log, ...entries);
  return log;
}

/** A guest with two rings in session 1, which it had from 10 on. */
const running: Entry[] = [
  [0, opened(1)],
  [10, started(1, 0)],
  [10, started(1, 1)],
];
const loss: Entry[] = [
  [1000, stopped(1, 0)],
  [1000, stopped(1, 1)],
  [1000, closed(1)],
];

describe('RestartLog', () => {
  it('tells of a loss when the connection, the rings and the pings were there again', () => {
    const log = new RestartLog();
    const said = feed(
      log,
      ...running,
      [900, ping(5)],
      ...loss,
      [4000, opened(2)],
      [4010, started(2, 0)],
      [4020, started(2, 1)],
      [4500, ping(9)],
      [4600, ping(10)],
    );
    const restart = { number: 1, at: 1000, session: 1, by: 'peer', how: 'close' };
    expect(log.restarts).toEqual([{ ...restart, backMs: 3000, ringsMs: 3020, outageMs: 3600, lost: 3 }]);
    // Changed by the loss, the connection, the last ring and the first ping.
    const [the] = log.restarts;
    expect(said.slice(6).map((one) => one === the)).toEqual([true, true, false, true, true, false]);
    expect(said.slice(0, 6)).toEqual(Array(6).fill(undefined));
  });

  it('knows nothing of what did not come, and nothing without a loss', () => {
    expect(logOf(...running, [900, ping(5)]).restarts).toEqual([]);
    const [restart] = logOf(...running, ...loss).restarts;
    expect(restart).toEqual({ number: 1, at: 1000, session: 1, by: 'peer', how: 'close' });
    const [half] = logOf(...running, ...loss, [2000, opened(2)], [2010, started(2, 0)]).restarts;
    expect(half).toMatchObject({ backMs: 1000 });
    expect(half).not.toHaveProperty('ringsMs');
    expect(half).not.toHaveProperty('outageMs');
  });

  it('has a back-end again at once when another client was waiting behind, and tells of its loss too', () => {
    const extra = { extra: true } as const;
    const second: Entry[] = [
      [1010, started(2, 0)],
      [1020, started(2, 1)],
    ];
    const log = logOf(...running, [500, opened(2, extra)], ...loss, ...second);
    expect(log.restarts).toMatchObject([{ number: 1, backMs: 0, ringsMs: 20 }]);
    feed(log, [2000, closed(2, extra)], [5000, opened(3)]);
    expect(log.restarts[1]).toMatchObject({ number: 2, session: 2, backMs: 3000 });
  });

  it('says who ended it and how, and at which cut', () => {
    const { restarts } = logOf(
      [0, opened(1)],
      [1, closed(1, { by: 'front-end', how: 'reset' })],
      [2, opened(2)],
      [3, closed(2, { cut: 'SET_OWNER.1.after-read' })],
    );
    expect(restarts).toMatchObject([
      { number: 1, session: 1, by: 'front-end', how: 'reset' },
      { number: 2, session: 2, by: 'peer', how: 'SET_OWNER.1.after-read' },
    ]);
  });

  it('waits until a ring is enabled too, in whichever order', () => {
    const log = logOf(...running, ...loss, [2000, opened(2)], [2010, started(2, 0)], [2020, started(2, 1, false)]);
    expect(log.restarts[0]).not.toHaveProperty('ringsMs');
    feed(log, [2100, enabled(2, 1, false)]);
    expect(log.restarts[0]).not.toHaveProperty('ringsMs');
    feed(log, [2200, enabled(2, 1, true)]);
    expect(log.restarts[0]).toMatchObject({ ringsMs: 1200 });
  });

  it('takes no ring that was only enabled for one that runs', () => {
    const log = logOf([0, opened(1)], [1, enabled(1, 0, true)], [10, closed(1)], [20, opened(2)]);
    expect(log.wanted).toEqual([]);
    expect(log.restarts[0]).not.toHaveProperty('ringsMs');
  });

  it('wants, after losses in the middle of a return, what was there before them all', () => {
    const log = logOf(
      ...running,
      [900, ping(5)],
      ...loss,
      [2000, opened(2)],
      [2100, closed(2)],
      [3000, opened(3)],
      [3010, started(3, 0)],
    );
    expect(log.wanted).toEqual([0, 1]);
    expect(log.restarts[1]).not.toHaveProperty('ringsMs');
    feed(log, [3020, started(3, 1)], [3500, ping(8)]);
    expect(log.restarts).toMatchObject([
      { number: 1, backMs: 1000 },
      { number: 2, at: 2100, backMs: 900, ringsMs: 920, outageMs: 2600, lost: 2 },
    ]);
    expect(log.restarts[0]).not.toHaveProperty('ringsMs');
    expect(log.wanted).toEqual([0, 1]);
  });

  it('misses no ring that QEMU took back', () => {
    const log = logOf(
      ...running,
      [500, received(1, 'GET_VRING_BASE', { index: 0 })],
      [500, stopped(1, 0)],
      [1000, stopped(1, 1)],
      [1000, closed(1)],
    );
    expect(log.wanted).toEqual([1]);
    feed(log, [2000, opened(2)], [2010, started(2, 1)]);
    expect(log.restarts[0]).toMatchObject({ ringsMs: 1010 });
  });

  it('misses a ring that was taken back and given again', () => {
    const again: Entry[] = [
      [500, received(1, 'GET_VRING_BASE', { index: 0 })],
      [500, stopped(1, 0)],
      [600, received(1, 'SET_VRING_KICK', { index: 0 })],
      [600, started(1, 0)],
    ];
    expect(logOf(...running, ...again, ...loss).wanted.toSorted()).toEqual([0, 1]);
    // Asked for a ring that does not run, nothing stops: the end of the session is not that stop.
    const idle: Entry = [400, received(1, 'GET_VRING_BASE', { index: 0 })];
    const restarted: Entry[] = [
      [450, received(1, 'SET_VRING_KICK', { index: 0 })],
      [460, started(1, 0)],
    ];
    expect(logOf(running[0]!, running[2]!, idle, ...restarted, ...loss).wanted.toSorted()).toEqual([0, 1]);
  });

  it('takes a connection that waited already for one that is back at once', () => {
    const log = logOf(
      ...running,
      [990, opened(2)],
      ...loss,
      [1050, started(2, 0)],
      [1060, started(2, 1)],
      [1100, closed(2)],
      [1500, opened(3)],
    );
    expect(log.restarts).toMatchObject([
      { session: 1, backMs: 0, ringsMs: 60 },
      { session: 2, backMs: 400 },
    ]);
  });

  it('leaves a second client out', () => {
    const log = logOf(...running, [20, opened(2, { extra: true })], [30, closed(2, { extra: true })]);
    expect(log.restarts).toEqual([]);
    expect(log.wanted).toEqual([0, 1]);
  });
});

describe('pings', () => {
  const back: Entry[] = [...loss, [2000, opened(2)], [2001, started(2, 0)], [2001, started(2, 1)]];

  it('count over the 65536 of their numbers', () => {
    expect(logOf(...running, [900, ping(65534)], ...back, [2500, ping(2)]).restarts[0]).toMatchObject({ lost: 3 });
    expect(
      logOf(...running, [900, echo(1, [[65530, 65535]])], ...back, [2500, echo(2, [[0, 3]])]).restarts[0],
    ).toMatchObject({
      outageMs: 1600,
      lost: 0,
    });
  });

  it('count by the last one of those answered together before, and the first after', () => {
    const log = logOf(
      ...running,
      [
        900,
        echo(1, [
          [1, 2],
          [4, 5],
        ]),
      ],
      ...back,
      [
        2500,
        echo(2, [
          [9, 9],
          [12, 14],
        ]),
      ],
    );
    expect(log.restarts[0]).toMatchObject({ outageMs: 1600, lost: 3 });
  });

  it('are not counted from one run of ping to another', () => {
    const log = logOf(...running, [900, ping(50, 1)], ...back, [2500, ping(1, 2)]);
    expect(log.restarts[0]).toMatchObject({ outageMs: 1600 });
    expect(log.restarts[0]).not.toHaveProperty('lost');
    const other = logOf(...running, [900, echo(1, [[5, 5]], 9)], ...back, [2500, echo(2, [[1, 1]], 10)]);
    expect(other.restarts[0]).not.toHaveProperty('lost');
  });

  it('that were told after the loss, before anybody was back, say nothing', () => {
    const log = logOf(...running, [900, ping(5)], ...loss, [1001, ping(6)], ...back.slice(loss.length), [
      2500,
      ping(8),
    ]);
    expect(log.restarts[0]).toMatchObject({ outageMs: 1600, lost: 2 });
    // One that waited in QEMU's backlog is there at once, and its rings are not.
    const waited = logOf(...running, [900, ping(5)], [990, opened(2)], ...loss, [1001, ping(6)]);
    expect(waited.restarts[0]).toMatchObject({ backMs: 0 });
    expect(waited.restarts[0]).not.toHaveProperty('outageMs');
    feed(waited, [1020, started(2, 0)], [1021, started(2, 1)], [1200, ping(8)]);
    expect(waited.restarts[0]).toMatchObject({ outageMs: 300, lost: 2 });
  });

  it('of a guest that did not ping when it happened are not waited for', () => {
    expect(logOf(...running, ...back, [2500, ping(1)]).restarts[0]).not.toHaveProperty('outageMs');
    const old: Entry[] = [
      [9000, closed(1)],
      [9100, opened(2)],
      [9110, started(2, 0)],
      [9200, ping(6)],
    ];
    expect(logOf(...running, [3900, ping(5)], ...old).restarts[0]).not.toHaveProperty('outageMs');
    expect(logOf(...running, [4100, ping(5)], ...old).restarts[0]).toMatchObject({ outageMs: 5100, lost: 0 });
  });

  it('are told by the guest rather than by the switch, from its first word on', () => {
    const log = logOf(
      ...running,
      [900, echo(1, [[5, 5]])],
      [901, ping(5)],
      ...back,
      // It reached the switch; whether the answer reached the guest, only the guest knows.
      [2400, echo(2, [[7, 7]])],
    );
    expect(log.restarts[0]).not.toHaveProperty('outageMs');
    feed(log, [2500, ping(8)]);
    expect(log.restarts[0]).toMatchObject({ outageMs: 1599, lost: 2 });
  });
});
