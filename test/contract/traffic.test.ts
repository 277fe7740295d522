import { describe, expect, it } from 'vitest';
import { outages } from '../../src/contract/index.js';
import { client, server } from './exchange.js';
import { expectBreak, expectHold, expectNotApplicable } from './judging.js';
import { packed } from './packed-story.js';
import type { Timed } from './timeline-builder.js';

const good = server({ pairs: 2 });
const loss = good.find('session.close');
const second = good.find('traffic.begin', () => true, -1);
const end = good.find('traffic.end', () => true, -1);
const quit = good.find('qmp.command');

describe('T1 traffic flows', () => {
  const stalled = (t: number) =>
    good.with('traffic.end', (e) => e.t === end.t, {
      t,
      outcome: 'stalled',
      missing: [{ dir: 'tx', pair: 1, seqs: [[64, 127]] }],
    });

  it('holds', () => expectHold('T1', good, /2 bursts flowed both ways on every pair, 1 of them after a loss/));
  it('breaks when a burst stalls on running rings', () => {
    const long = stalled(end.t).stretch(end.t, 5000);
    expectBreak('T1', long, 'violation', /burst 1 stalled for 500\d ms on running rings: 64 TX of pair 1 missing/);
  });
  it("does not count a stall that was too short, the machine's, in flight, or without rings", () => {
    const long = stalled(end.t).stretch(end.t, 3000);
    const others = (story: typeof good) => expectHold('T1', story, /1 burst flowed/);
    others(stalled(end.t + 200));
    others(
      long.plus(
        { t: second.t, type: 'pace', lag: 0, delay: 0 },
        { t: end.t + 2900, type: 'pace', lag: 1500, delay: 1000 },
      ),
    );
    others(long.with('traffic.begin', (e) => e.burst === 1, { inFlight: true }));
    others(long.without('ring.start', ({ session, ring }) => session === 2 && ring === 3));
  });
  it('says nothing without a burst', () => expectNotApplicable('T1', server({ driver: 'none' })));
});

describe('T2 no packet is lost, duplicated or corrupted', () => {
  const unseen = good.with('packets.seen', (e) => e.dir === 'tx' && e.pair === 1 && e.session === 2, {
    seqs: [[64, 120]],
  });
  /** Two packets of the guest that were on the ring when the peer left; QEMU used them up. */
  const inFlight: Timed[] = [
    { t: loss.t - 2, type: 'packets.sent', dir: 'tx', pair: 0, seqs: [[900, 901]] },
    { t: loss.t + 20, type: 'packets.completed', dir: 'tx', pair: 0, seqs: [[900, 901]] },
  ];

  it('holds', () => expectHold('T2', good, /512 of 512 packets arrived once and intact$/));
  it('accounts for what QEMU used while no peer was there', () =>
    expectHold('T2', good.plus(...inFlight), /512 of 514 packets .*, 2 used by QEMU/));
  it('breaks when a packet was used on a running ring and never seen', () =>
    expectBreak('T2', unseen, 'violation', /7 packets lost: TX of pair 1 \(121-127\)/));
  it('breaks when a packet waits on a running ring', () => {
    const stuck = good.plus({ t: end.t + 1, type: 'packets.sent', dir: 'rx', pair: 0, seqs: [[500, 500]], session: 2 });
    expectHold('T2', stuck, /1 in flight at the end/);
    expectBreak('T2', stuck.stretch(end.t + 5, 1500), 'violation', /1 packet lost: RX of pair 0 \(500\)/);
  });
  it('does not call lost what was in flight on purpose, or wiped by a reset', () => {
    const sent: Timed = { t: second.t + 0.05, type: 'packets.sent', dir: 'tx', pair: 0, seqs: [[500, 501]] };
    const held = good.plus(sent).with('traffic.begin', (e) => e.burst === 1, { inFlight: true });
    expectHold('T2', held.stretch(end.t + 5, 3000), /2 in flight/);
    const wiped = good.plus(sent, { t: end.t + 10, type: 'driver.reset' });
    expectHold('T2', wiped.stretch(end.t + 20, 3000), /2 in flight/);
  });
  it('breaks when packets held back on purpose are lost by the next session', () => {
    const begin: Timed = { t: loss.t - 20, type: 'traffic.begin', burst: 7, packets: 2, pairs: 1, inFlight: true };
    const sent: Timed = { t: loss.t - 10, type: 'packets.sent', dir: 'tx', pair: 0, seqs: [[500, 501]] };
    expectBreak(
      'T2',
      good.plus(begin, sent).stretch(quit.t, 1000),
      'violation',
      /2 packets lost: TX of pair 0 \(500-501\)/,
    );
  });
  it('breaks on a duplicate within a session, not across sessions', () => {
    const again = (session: number): Timed => ({
      t: quit.t - 1,
      type: 'packets.seen',
      dir: 'tx',
      pair: 0,
      seqs: [[60, 61]],
      corrupt: 0,
      session,
    });
    expectHold('T2', good.plus(again(2)));
    expectBreak('T2', good.plus(again(1)), 'violation', /2 packets seen twice: TX of pair 0 \(60-61\)/);
    expectBreak(
      'T2',
      good.plus({ ...again(3), dir: 'rx' } as Timed),
      'violation',
      /2 packets seen twice: RX of pair 0/,
    );
  });
  it('breaks on a corrupt packet', () =>
    expectBreak(
      'T2',
      good.with('packets.seen', (e) => e.dir === 'rx', { corrupt: 1 }),
      'violation',
      /2 corrupt packets: RX of pair 0/,
    ));
  it('says nothing without packets', () => expectNotApplicable('T2', server({ driver: 'none' })));

  describe('when the device breaks a ring', () => {
    const broken = (t: number, ring = 1): Timed => ({
      type: 'driver.broken',
      rule: 'ring',
      what: '7 came back',
      ring,
      t,
    });
    const seen = /^the device broke ring 1 of the guest: 7 came back$/;
    const fault = (more: object): Timed =>
      ({ t: loss.t - 5, type: 'peer.fault', session: 1, fault: 'header', what: 'a lie', ...more }) as Timed;
    const answer = { message: 'GET_VRING_BASE', spoils: 'answer' };

    it('breaks, before a loss and after a return', () => {
      expectBreak('T2', good.plus(broken(quit.t - 1)), 'violation', seen);
      expectBreak('T2', good.plus(broken(loss.t - 1)), 'violation', seen);
      expectHold('T2', good.plus({ ...broken(quit.t - 1), rule: 'command' } as Timed));
    });
    it('breaks when its peer did nothing wrong that has to do with it', () => {
      const with_ = (more: object) => good.plus(fault(more), broken(quit.t - 1));
      expectBreak('T2', with_({ message: 'SET_MEM_TABLE', spoils: 'answer' }), 'violation', seen);
      expectBreak('T2', with_({ message: 'GET_VRING_BASE' }), 'violation', seen);
      expectBreak('T2', with_({ spoils: 'channel' }), 'violation', seen);
    });
    it('holds when a peer told a wrong place on purpose', () => {
      expectHold('T2', good.plus(fault(answer), broken(quit.t - 1)));
      expectHold('T2', good.plus(fault({ spoils: 'stream' }), broken(quit.t - 1)));
      const before = { ...fault(answer), t: good.find('driver.features').t - 1 };
      expectBreak('T2', good.plus(before, broken(quit.t - 1)), 'violation', seen);
    });
    it('holds on a packed ring that was lost on its way, and breaks where nothing moved or it stopped in order', () => {
      const story = packed(good);
      expectHold('T2', story.plus(broken(quit.t - 1)));
      expectHold('T2', story.plus(broken(loss.t + 1)));
      expectBreak('T2', story.plus(broken(loss.t - 1)), 'violation', seen);
      const start = story.find('ring.start', ({ ring }) => ring === 1);
      const untouched = story.with('ring.stop', ({ ring, session }) => ring === 1 && session === 1, {
        base: start.base,
      });
      expectBreak('T2', untouched.plus(broken(quit.t - 1)), 'violation', seen);
    });
    it('counts nothing after it', () => {
      const held = good.plus(fault(answer), broken(quit.t - 1));
      const sent: Timed = { t: quit.t - 0.5, type: 'packets.sent', dir: 'rx', pair: 0, seqs: [[500, 501]], session: 2 };
      expectHold('T2', held.plus(sent).stretch(quit.t, 5000), /2 in flight at the end/);
      const burst: Timed[] = [
        { t: quit.t - 0.9, type: 'traffic.begin', burst: 7, packets: 2, pairs: 1 },
        {
          t: quit.t - 0.1,
          type: 'traffic.end',
          burst: 7,
          outcome: 'stalled',
          missing: [{ dir: 'rx', pair: 0, seqs: [[500, 501]] }],
        },
      ];
      const stalls = (story: typeof good) => story.plus(...burst).stretch(quit.t - 0.2, 5000);
      expectHold('T1', stalls(held));
      expectBreak('T1', stalls(good), 'violation', /burst 7 stalled/);
    });
  });
});

describe('T3 packets keep their order', () => {
  const seen = (dir: 'tx' | 'rx', session: number, t: number, ...seqs: [number, number][]): Timed => ({
    ...{ t, type: 'packets.seen', dir, pair: 0, seqs, corrupt: 0 },
    ...(dir === 'tx' ? { session } : {}),
  });
  const sent = (t: number, ...seqs: [number, number][]): Timed => ({
    t,
    type: 'packets.sent',
    dir: 'tx',
    pair: 0,
    seqs,
  });
  /** When the rings of the second session run, and no burst has begun. */
  const end = second.t - 0.05;

  it('holds', () => expectHold('T3', good, /512 packets in the order sent/));
  it('goes by the order of sending, not by the numbers', () => {
    const odd = good.plus(
      sent(quit.t - 20, [905, 905]),
      sent(quit.t - 19, [900, 904]),
      seen('tx', 2, quit.t - 18, [905, 905], [900, 904]),
    );
    expectHold('T3', odd, /518 packets/);
  });
  it('breaks when packets are overtaken, within what is seen at once or later, in one session or the next', () => {
    const six = good.plus(sent(loss.t - 20, [900, 905]));
    const story = (...more: Timed[]) => six.plus(...more);
    expectBreak(
      'T3',
      story(seen('tx', 2, end, [900, 901], [903, 903], [902, 902], [904, 905])),
      'violation',
      /1 packet overtaken by later ones: TX of pair 0 \(902\)/,
    );
    expectBreak(
      'T3',
      story(seen('tx', 1, loss.t - 9, [903, 905]), seen('tx', 2, end, [900, 902])),
      'violation',
      /3 packets/,
    );
    const guest = good.with('packets.seen', (e) => e.dir === 'rx' && e.pair === 1 && e.t > loss.t, {
      seqs: [
        [65, 127],
        [64, 64],
      ],
    });
    expectBreak('T3', guest, 'violation', /RX of pair 1 \(64\)/);
  });
  it('lets a restart leave packets out, or repeat them', () => {
    const six = good.plus(sent(loss.t - 20, [900, 905]));
    expectHold('T3', six.plus(seen('tx', 2, end, [900, 901], [904, 905])));
    expectHold('T3', six.plus(seen('tx', 1, loss.t - 9, [900, 903]), seen('tx', 2, end, [902, 905])));
  });
  it('says nothing without packets', () => expectNotApplicable('T3', server({ driver: 'none' })));
});

describe('outages', () => {
  it('measures each loss', () => {
    const [first, next, ...more] = outages(server({ away: [200, 3100] }).timeline());
    expect(more).toEqual([]);
    for (const [outage, session, away] of [
      [first!, 1, 200],
      [next!, 2, 3100],
    ] as const) {
      expect(outage.session).toBe(session);
      expect(outage.completedByQemu).toBe(0);
      expect(outage.awayMs).toBeGreaterThanOrEqual(away - 2);
      expect(outage.awayMs).toBeLessThan(away + 5);
      expect(outage.restartMs).toBeGreaterThan(1);
      expect(outage.restartMs).toBeLessThan(20);
      for (const silent of [outage.txMs!, outage.rxMs!]) {
        expect(silent).toBeGreaterThan(away + 600);
        expect(silent).toBeLessThan(away + 630);
      }
    }
  });

  it('counts what QEMU completed in the outage', () => {
    const story = good.plus(
      { t: loss.t - 2, type: 'packets.sent', dir: 'tx', pair: 0, seqs: [[900, 902]] },
      { t: loss.t + 20, type: 'packets.completed', dir: 'tx', pair: 0, seqs: [[900, 902]] },
    );
    expect(outages(story.timeline()).map(({ completedByQemu }) => completedByQemu)).toEqual([3]);
  });

  it('does not take packets of the lost session that the guest reads late for traffic of the next', () => {
    const seen = good.find('packets.seen', ({ dir, t }) => dir === 'rx' && t < loss.t);
    const late = good.with('packets.seen', (e) => e.t === seen.t, { t: loss.t + 5 });
    expect(outages(late.timeline())[0]!.rxMs).toBeGreaterThan(3000);
  });

  it('has no restart without a driver, and no traffic', () => {
    const [outage] = outages(server({ driver: 'none' }).timeline());
    expect(Object.keys(outage!)).toEqual(['session', 'awayMs', 'completedByQemu']);
  });

  it('counts an absence without return to the end, and one that was overtaken as none', () => {
    const gone = good.only((e) => e.t < loss.t + 1000 || !('session' in e));
    expect(outages(gone.timeline())[0]!.awayMs).toBeCloseTo(quit.t - loss.t, 0);
    const overtaken = good.with('session.open', ({ session }) => session === 2, { t: loss.t - 10 });
    expect(outages(overtaken.timeline())[0]!.awayMs).toBe(0);
  });

  it('is empty when only quit ended a session', () => expect(outages(client({ away: [] }).timeline())).toEqual([]));
});
