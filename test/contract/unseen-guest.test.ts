import { describe, expect, it } from 'vitest';
import { outages } from '../../src/contract/index.js';
import { allRunning, guestRings } from '../../src/contract/ring-spans.js';
import { servedSessions, unowed } from '../../src/contract/sessions.js';
import type { Timeline } from '../../src/timeline/index.js';
import { client, server } from './exchange.js';
import { expectBreak, expectHold, expectNotApplicable } from './judging.js';
import type { Story, Timed, TimedOf } from './timeline-builder.js';

/** The same run, of a guest whose driver nobody sees. */
const unseen = (story: Story): Story =>
  story
    .only(({ type }) => !/^(driver|traffic|packets)\./.test(type))
    .with('run.begin', () => true, { driver: 'guest' });

const good = unseen(server());
const loss = good.find('session.close');
const of = (session: number) => (event: { session: number }) => event.session === session;
const complete = good.find('wire.recv', (e) => e.session === 2 && e.name === 'SET_FEATURES');
const starts = (ring: number) => good.find('ring.start', (e) => e.session === 2 && e.ring === ring);
const event = (t: number, name: string): Timed => ({ t, type: 'qmp.event', event: name, data: {} });

/** The second session does nothing for the rings of the guest. */
const ringless = good
  .without('ring.start', (e) => e.session === 2)
  .without('ring.stop', (e) => e.session === 2)
  .stretch(complete.t, 2500)
  .stretch(complete.t + 2500 + 100, 2500);
/** It begins with them late. */
const late = good.stretch(starts(0).t, 2500);

describe('R20 for a guest that the tester does not drive', () => {
  it('holds when the rings that ran before run again', () => {
    expectHold('R20', good, /4 rings started in 2 sessions/);
    expectHold('R20', unseen(client()), /4 rings started in 2 sessions/);
    expectHold('R20', unseen(server({ pairs: 2 })), /8 rings started in 2 sessions/);
    expectHold('R20', unseen(server({ away: [300, 2000, 10] })), /8 rings started in 4 sessions/);
  });

  it('does not ask for a driver that had negotiated', () => {
    // The same run of a driver that the tester should have seen is a break.
    const undriven = good.with('run.begin', () => true, { driver: 'linux' });
    expectBreak('R20', undriven, 'violation', /without a driver/);
  });

  it('breaks when a ring does not run again', () => {
    expectBreak('R20', ringless, 'violation', /session 2: QEMU did not start ring 0 in \d{4} ms, which ran before/);
    const one = good.without('ring.start', (e) => e.session === 2 && e.ring === 1).stretch(complete.t + 100, 2500);
    expectBreak('R20', one, 'violation', /did not start ring 1 in \d{4} ms/);
  });

  it('breaks when a ring starts late, and holds just before', () => {
    expectBreak('R20', late, 'violation', /session 2: QEMU started ring 0 only after 25\d\d ms, which ran before/);
    expectHold('R20', good.stretch(starts(0).t, 1900));
  });

  it('still breaks when the setup is out of order', () => {
    const memory = good.find('wire.recv', (e) => e.session === 2 && e.name === 'SET_MEM_TABLE');
    const early = good.with('wire.recv', (e) => e.t === memory.t && e.name === 'SET_MEM_TABLE', {
      t: complete.t - 0.01,
    });
    expectBreak('R20', early, 'violation', /SET_MEM_TABLE .*before SET_FEATURES/);
  });

  it('is not judged without a monitor: nobody knows whether the guest was reset', () => {
    expectHold('R20', late.without('qmp.ready'));
    expectHold('R20', ringless.without('qmp.ready'));
  });

  it.each(['RESET', 'SHUTDOWN', 'POWERDOWN', 'STOP', 'GUEST_PANICKED'])('is not judged after %s', (name) => {
    expectHold('R20', ringless.plus(event(loss.t + 10, name)));
    expectHold('R20', late.plus(event(complete.t + 50, name)));
    // Before the rings ran for the first time it says nothing of them, and too late it is no excuse.
    const first = good.find('ring.start', of(1));
    expectBreak('R20', late.plus(event(first.t - 0.01, name)), 'violation', /started ring 0 only/);
    expectBreak('R20', late.plus(event(complete.t + 2300, name)), 'violation', /ring 0/);
  });

  it('is judged after an event that says nothing of the guest', () => {
    expectBreak('R20', late.plus(event(loss.t + 10, 'NETDEV_STREAM_CONNECTED')), 'violation', /started ring 0 only/);
  });

  it('is not judged when the back-end lacks something', () => {
    const isAnswer = (e: TimedOf<'wire.send'>) => e.session === 2 && e.name === 'GET_QUEUE_NUM';
    expectHold('R20', ringless.with('wire.send', isAnswer, { body: { value: '0x0' } }));
  });

  it('is not judged for rings that the guest gave back, with whichever message last', () => {
    const back = (ring: number, t: number): Timed[] => [
      {
        ...{ t, type: 'wire.recv', session: 1, index: 900 + ring, request: 11, name: 'GET_VRING_BASE' },
        ...{ flags: 1, size: 8, body: { index: ring }, fds: 0 },
      },
      { t, type: 'ring.stop', session: 1, ring, base: 64 },
      {
        ...{ t, type: 'wire.send', session: 1, channel: 'reply', request: 11, name: 'GET_VRING_BASE' },
        ...{ flags: 5, size: 8, body: { index: ring, num: 64 }, fds: 0 },
      },
    ];
    const stopped = ringless.without('ring.stop', of(1)).plus(...back(0, loss.t - 20), ...back(1, loss.t - 10));
    expectHold('R20', stopped);
    const one = ringless.without('ring.stop', of(1)).plus(...back(0, loss.t - 20));
    expectBreak('R20', one, 'violation', /did not start ring 1/);
    // SET_VRING_ENABLE 0 is the last word on a ring as well.
    const disabled = ringless.plus(
      ...back(0, loss.t - 20),
      {
        ...{ t: loss.t - 10, type: 'wire.recv', session: 1, index: 990, request: 18, name: 'SET_VRING_ENABLE' },
        ...{ flags: 1, size: 8, body: { index: 1, num: 0 }, fds: 0 },
      },
      { t: loss.t - 10, type: 'ring.enable', session: 1, ring: 1, enabled: false },
    );
    expectHold('R20', disabled);
  });
});

describe('R19 for such a guest', () => {
  it('says nothing: its driver may have come at any time', () => {
    expectNotApplicable('R19', good);
    const idle = server({ driver: 'none' });
    expectHold('R19', idle);
    expectNotApplicable('R19', unseen(idle));
  });
});

describe('what the judges take for its rings', () => {
  const views = (t: Timeline) => servedSessions(t);

  it('those that ran to the end of the last session that had any', () => {
    const t = unseen(server({ pairs: 2, away: [300, 300] })).timeline();
    const rings = views(t).map((view) => guestRings(t, view));
    expect(rings).toEqual([[], [0, 1, 2, 3], [0, 1, 2, 3]]);
    const gap = unseen(server({ away: [300, 300] }));
    const empty = gap.without('ring.start', of(2)).without('ring.stop', of(2)).timeline();
    expect(views(empty).map((view) => guestRings(empty, view))).toEqual([[], [0, 1], [0, 1]]);
  });

  it('all run when the last of them does', () => {
    const t = good.timeline();
    const [first, second] = views(t);
    expect(allRunning(t, first!)).toBeUndefined();
    expect(allRunning(t, second!)?.t).toBe(starts(1).t);
    const half = good.without('ring.start', (e) => e.session === 2 && e.ring === 0).timeline();
    expect(allRunning(half, views(half)[1]!)).toBeUndefined();
  });

  it('an outage is told from the loss to the return, and from there to the rings', () => {
    const open = good.find('session.open', of(2));
    const [outage, ...more] = outages(good.timeline());
    expect(more).toEqual([]);
    expect(outage).toMatchObject({ session: 1, awayMs: open.t - loss.t, completedByQemu: 0 });
    expect(outage!.restartMs).toBeCloseTo(starts(1).t - open.t, 3);
    expect(outage).not.toHaveProperty('txMs');
    expect(outages(ringless.timeline())[0]).not.toHaveProperty('restartMs');
  });
});

describe('a peer that hangs', () => {
  /** In session 2 QEMU has said all, and 4 s pass until it quits. */
  const last = good.events.filter((e) => e.type === 'wire.recv' && e.session === 2 && e.name === 'SET_STATUS').at(-1)!;
  const idle = good.stretch(last.t + 1, 4000);
  const begin = last.t + 500;
  const hold: Timed = { t: begin, type: 'peer.fault', session: 2, fault: 'hold', what: 'reads nothing' };
  const resumed = (session: number, t: number): Timed => ({ t, type: 'peer.resumed', session });
  const own = (...more: Timed[]) => unowed(idle.plus(...more).timeline(), begin, begin + 3000);

  it('is waited for until it goes on, and QEMU is to be quick from there', () => {
    expect(own()).toBeCloseTo(3000, 3);
    expect(own(hold, resumed(2, begin + 1000))).toBeCloseTo(2000, 3);
    expect(own(hold, resumed(2, begin + 400), { ...hold, t: begin + 500 }, resumed(2, begin + 600))).toBeCloseTo(
      2500,
      3,
    );
  });

  it('is waited for without end when it does not go on, or only another does', () => {
    expect(own(hold)).toBe(0);
    expect(own(hold, resumed(1, begin + 1000))).toBe(0);
    expect(own(resumed(2, begin - 100), hold)).toBe(0);
  });

  it('explains rings that start late, as long as it lasts', () => {
    const at = starts(0).t;
    // The last messages before the ring starts come after it goes on.
    const fault: Timed = { ...hold, t: at - 0.01 } as Timed;
    expectHold('R20', late.plus(fault, resumed(2, at + 1500)));
    expectBreak('R20', late.plus(fault, resumed(2, at + 100)), 'violation', /started ring 0 only after 24\d\d ms/);
  });
});
