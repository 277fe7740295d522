import { describe, expect, it } from 'vitest';
import { outages } from '../../src/contract/index.js';
import { server } from './exchange.js';
import { expectBreak, expectHold, expectNotApplicable } from './judging.js';
import type { Story, Timed, TimedOf } from './timeline-builder.js';

/** The same run, of a guest whose driver nobody sees. */
const unseen = (story: Story): Story =>
  story
    .only(({ type }) => !/^(driver|traffic|packets)\./.test(type))
    .with('run.begin', () => true, { driver: 'guest' });

const of = (session: number) => (event: { session: number }) => event.session === session;
const bare = unseen(server({ away: [3100] }));
const loss = bare.find('session.close', of(1));
const runs = (session: number) => bare.find('ring.start', (e) => e.session === session && e.ring === 1).t;
const ping = (t: number, number: number, epoch = 1): Timed => ({
  ...{ t, type: 'guest.ping', nic: 'eth0', epoch, number, latency: 1 },
});
const carrier = (t: number, up: boolean, nic = 'eth0'): Timed => ({ t, type: 'guest.carrier', nic, up });
const trouble = (t: number, what: string, line: string): Timed => ({ t, type: 'guest.trouble', what, line });
const ready = runs(1) + 5;

/** A ping every 100 ms while it can be answered. */
function pings(from: number, to: number, first: number): Timed[] {
  return Array.from({ length: Math.max(0, Math.floor((to - from) / 100)) }, (_, i) => ping(from + 100 * i, first + i));
}

const quit = bare.find('qmp.command', ({ execute }) => execute === 'quit').t;
const before = pings(ready + 50, loss.t, 0);
const after = pings(runs(2) + 120, quit, before.length + 33);
/** A guest that boots, pings, sees its back-end go and come, and pings again. */
const good = bare.plus(
  { t: ready, type: 'guest.ready' },
  carrier(ready - 1, true),
  ...before,
  carrier(loss.t + 15, false),
  carrier(runs(2) + 20, true),
  ...after,
);
/** It stays 8 s longer after the return. */
const long = good.stretch(runs(2) + 60, 8000);

describe('T5', () => {
  it('holds when pings are answered before and after', () => {
    expectHold('T5', good, /\d+ pings answered in 2 sessions/);
  });

  it('says nothing without a guest that pings', () => {
    expectNotApplicable('T5', server());
    expectNotApplicable('T5', bare);
    expectNotApplicable(
      'T5',
      good.with('run.begin', () => true, { driver: 'linux' }),
    );
  });

  it('breaks when no ping is answered after the return, or only late', () => {
    const none = long.without('guest.ping', ({ t }) => t > loss.t);
    expectBreak(
      'T5',
      none,
      'violation',
      /session 2: .* none was answered for \d{4} ms after the guest and its rings ran/,
    );
    expectBreak('T5', long, 'violation', /session 2: .* the next one was answered only 8\d{3} ms after/);
    expectHold('T5', good.stretch(runs(2) + 60, 4000));
  });

  it('breaks when they cease on running rings', () => {
    const ceased = long.without('guest.ping', ({ t }) => t > loss.t).plus(ping(runs(2) + 120, 90));
    expectBreak('T5', ceased, 'violation', /none was answered for \d{4} ms after the one before/);
  });

  it('breaks when a guest that is up has never one', () => {
    const dead = good.stretch(ready + 10, 8000).without('guest.ping');
    expectBreak('T5', dead, 'violation', /session 1: /);
  });

  it('does not ask while rings do not run, or the guest is held up', () => {
    // Away for long.
    expectHold('T5', good.stretch(loss.t + 100, 9000));
    const command = (t: number, execute: string, args?: object): Timed =>
      ({ t, type: 'qmp.command', id: 900 + t, execute, ...(args && { arguments: args }) }) as Timed;
    const at = runs(2) + 30;
    const silent = long.without('guest.ping', ({ t }) => t > loss.t);
    expectHold('T5', silent.plus(command(at, 'stop')));
    expectHold('T5', silent.plus(command(at, 'set_link', { name: 'n0', up: false })));
    expectHold('T5', silent.plus(command(at, 'system_reset')));
    // Once it goes on, it is asked again.
    expectBreak('T5', silent.plus(command(at, 'stop'), command(at + 100, 'cont')), 'violation', /session 2/);
    expectBreak(
      'T5',
      silent.plus(command(at, 'system_reset'), { t: at + 1000, type: 'guest.ready' }),
      'violation',
      /session 2/,
    );
    expectHold('T5', silent.plus(command(at, 'system_reset'), { t: at + 6000, type: 'guest.ready' }));
  });

  describe('of a guest that is stopped or starts anew otherwise than by a command of the tester’s', () => {
    const at = runs(2) + 30;
    const silent = long.without('guest.ping', ({ t }) => t > loss.t);
    const said = (t: number, event: string): Timed => ({ t, type: 'qmp.event', event, data: {} });
    const up = (t: number): Timed => ({ t, type: 'guest.ready' });

    it('does not ask meanwhile', () => {
      expectHold('T5', silent.plus(said(at, 'RESET')));
      expectHold('T5', silent.plus(said(at, 'STOP')));
    });

    it('asks again once it goes on', () => {
      expectBreak('T5', silent.plus(said(at, 'RESET'), up(at + 1000)), 'violation', /session 2/);
      expectBreak('T5', silent.plus(said(at, 'STOP'), said(at + 100, 'RESUME')), 'violation', /session 2/);
      // It goes on when the link is there and the machine runs.
      const raised: Timed = { t: at + 50, type: 'qmp.command', id: 1, execute: 'set_link', arguments: { up: true } };
      expectHold('T5', silent.plus(said(at, 'STOP'), raised));
    });

    it('asks before it too', () => {
      expectBreak('T5', silent.plus(said(at + 7000, 'RESET'), up(at + 7500)), 'violation', /session 2/);
    });
  });

  it('asks again when rings that a stop took back run again', () => {
    const at = runs(2) + 30;
    const command = (t: number, execute: string): Timed => ({ t, type: 'qmp.command', id: 900 + t, execute });
    const rings = [0, 1].flatMap((ring): Timed[] => [
      { t: at + 1, type: 'ring.stop', session: 2, ring, base: 64 },
      { ...bare.find('ring.start', (e) => e.session === 2 && e.ring === ring), t: at + 101 },
    ]);
    const silent = long.without('guest.ping', ({ t }) => t > loss.t);
    expectHold('T5', silent.plus(command(at, 'stop'), ...rings.filter(({ type }) => type === 'ring.stop')));
    const again = silent.plus(command(at, 'stop'), command(at + 100, 'cont'), ...rings);
    expectBreak('T5', again, 'violation', /session 2/);
  });

  it('does not count what a ring was taken back for', () => {
    const stopped = long
      .without('guest.ping', ({ t }) => t > loss.t)
      .plus({ t: runs(2) + 100, type: 'ring.stop', session: 2, ring: 0, base: 64 });
    expectHold('T5', stopped);
  });
});

describe('R31 for a guest of its own', () => {
  it('holds when the carrier goes and comes', () => {
    expectHold('R31', good, /1 loss, 1 of them seen as link down/);
  });

  it('breaks when it does not go', () => {
    const up = good.without('guest.carrier', ({ t }) => t > loss.t);
    expectBreak('R31', up, 'violation', /was still up \d{4} ms after session 1 ended/);
  });

  it('breaks when it does not come, and holds just before', () => {
    const gone = (by: number) => good.without('guest.carrier', ({ t }) => t > runs(2)).stretch(runs(2) + 60, by);
    expectBreak('R31', gone(4000), 'violation', /was still down \d{4} ms after the rings of session 2 ran/);
    expectHold('R31', gone(0));
  });

  it('breaks when it goes more often than the back-end did', () => {
    const extra = long.plus(carrier(runs(2) + 3000, false), carrier(runs(2) + 3100, true));
    expectBreak('R31', extra, 'violation', /went down 2 times by 1 loss/);
  });

  it('looks at the first device only, and says nothing of a guest that started anew', () => {
    expectHold('R31', good.plus(carrier(ready, true, 'eth1'), carrier(runs(2) + 70, false, 'eth1')));
    expectNotApplicable('R31', good.plus({ t: runs(2) + 30, type: 'guest.ready' }));
    expectNotApplicable('R31', good.plus({ t: runs(2) + 30, type: 'qmp.event', event: 'RESET', data: {} }));
  });
});

describe('R43', () => {
  const oops = trouble(loss.t + 20, 'oops', 'BUG: kernel NULL pointer dereference');

  it('holds when the kernel says nothing of the kind', () => {
    expectHold('R43', good, /^no complaint$/);
  });

  it('says nothing when no kernel was heard', () => {
    expectNotApplicable('R43', server());
    expectNotApplicable('R43', bare.plus(oops));
  });

  it.each(['oops', 'panic', 'warning', 'virtio', 'irq', 'tx-timeout'])('breaks by %s', (what) => {
    expectBreak(
      'R43',
      good.plus({ ...oops, what } as TimedOf<'guest.trouble'>),
      'violation',
      new RegExp(`${what}: BUG`),
    );
  });

  it.each(['lockup', 'hung-task', 'memory'])('does not count %s', (what) => {
    expectHold('R43', good.plus({ ...oops, what } as TimedOf<'guest.trouble'>), /1 of a slow machine/);
  });

  it('does not count a queue that the back-end did not serve', () => {
    const hold: Timed = { t: runs(2) + 50, type: 'peer.fault', session: 2, fault: 'hold', what: 'reads nothing' };
    const timeout = (t: number) => trouble(t, 'tx-timeout', 'NETDEV WATCHDOG: eth0');
    const hung = good.stretch(runs(2) + 60, 30_000).plus(hold);
    expectHold('R43', hung.plus(timeout(runs(2) + 6000)));
    const resumed: Timed = { t: runs(2) + 5000, type: 'peer.resumed', session: 2 };
    expectHold('R43', hung.plus(resumed, timeout(runs(2) + 12_000)));
    expectBreak('R43', hung.plus(resumed, timeout(runs(2) + 16_000)), 'violation', /tx-timeout/);
    // Before it did anything wrong it is no excuse.
    expectBreak('R43', hung.plus(timeout(runs(2) + 40)), 'violation', /tx-timeout/);
  });
});

describe('an outage as a guest sees it', () => {
  it('is from the last answered ping to the first one on running rings, with those lost between', () => {
    const [outage] = outages(good.timeline());
    expect(outage!.pingMs).toBeCloseTo(after[0]!.t - before.at(-1)!.t, 3);
    expect(outage!.pingsLost).toBe(33);
  });

  it('has no number of lost ones when ping began anew, and no length when none came back', () => {
    const anew = good.with('guest.ping', ({ t }) => t > loss.t, { epoch: 2 });
    expect(outages(anew.timeline())[0]).toHaveProperty('pingMs');
    expect(outages(anew.timeline())[0]).not.toHaveProperty('pingsLost');
    expect(outages(good.without('guest.ping', ({ t }) => t > loss.t).timeline())[0]).not.toHaveProperty('pingMs');
  });
});
