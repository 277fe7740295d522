import { describe, it } from 'vitest';
import { client, PID, SOCKET, server } from './exchange.js';
import { expectBreak, expectHold, expectNotApplicable } from './judging.js';
import { command, deleted } from './removal-story.js';
import type { Story } from './timeline-builder.js';

const good = client();
const loss = good.find('session.close');
const redial = good.find('session.open', ({ session }) => session === 2);

/** Two outages of more than an interval without a listener. */
const outages = client({ away: [2900, 2900] });
const losses = [0, 1].map((nth) => outages.find('session.close', ({ by }) => by === 'peer', nth).t);
const report = (t: number) =>
  ({ t, type: 'qemu.stderr', line: 'Unable to connect character device c0: Connection refused' }) as const;

describe('R15 dials that fail are reported once an outage', () => {
  const both = outages.plus(...losses.map((t) => report(t + 1001)));
  it('holds for one report in each outage', () => expectHold('R15', both, /2 reports in 3 outages/));
  it('breaks when every dial is reported', () =>
    expectBreak('R15', both.plus(report(losses[0]! + 2002)), 'violation', /2 reports of failed dials after session 1/));
  it('breaks when a later outage has no report', () =>
    expectBreak(
      'R15',
      outages.plus(report(losses[0]! + 1001)),
      'violation',
      /no report in 2[89]\d\d ms .* after session 2/,
    ));
  it('asks for none of a chardev that was removed', () => {
    const [removed, added] = [losses[1]! + 300, losses[1]! + 2500];
    const gone = outages.plus(
      report(losses[0]! + 1001),
      ...command(removed, 1, 'netdev_del', 'n0'),
      ...deleted(removed + 0.5),
      ...command(added, 2, 'chardev-add', 'c0'),
      ...command(added + 2, 3, 'netdev_add', 'n0', { takes: 300 }),
    );
    expectHold('R15', gone);
  });
  it('takes a line that is read late for one of the outage before', () => {
    const late = client({ away: [2900, 200] });
    const second = late.find('session.close', ({ by }) => by === 'peer', 1).t;
    expectHold('R15', late.plus(report(losses[0]! + 1001), report(second + 100), report(second + 900)));
  });
  it('says nothing without a report, or for a server', () => {
    expectNotApplicable('R15', outages);
    expectNotApplicable('R15', server().plus(report(100)));
  });
});

describe('a shortage of descriptors', () => {
  const gone = good.only((e) => e.t < redial.t).plus({ t: redial.t + 3000, type: 'run.end' });
  const short = (to: number) =>
    gone.plus(
      { t: loss.t + 10, type: 'qemu.descriptors', spare: 0, limit: 20 },
      { t: to, type: 'qemu.descriptors', limit: 1024 },
    );
  it('excuses a client for as long as it lasts', () => {
    expectNotApplicable('R12', short(redial.t + 2900));
    expectBreak('R12', short(redial.t), 'violation', /no connection in 3000 ms of listening/);
  });
});

describe('a peer that listens and does not accept', () => {
  const story = client({ away: [900] })
    .without('peer.unlisten')
    .without('peer.listen', ({ t }) => t > 0.1);
  const left = story.find('session.close').t;
  const back = story.find('session.open', ({ session }) => session === 2).t;
  /** It hangs before the connection ends, and accepts after so long. */
  const hung = (after: number, full = true) =>
    story
      .stretch(back, 2000)
      .plus(
        { t: left - 0.01, type: 'peer.hung', path: SOCKET, ...(full ? { full } : {}) },
        { t: left + after, type: 'peer.accepts', path: SOCKET },
      );

  it('is none that a dial could reach', () => {
    expectBreak('R12', story.stretch(back, 2000), 'violation', /redialled only after 300\d ms/);
    for (const full of [true, false]) {
      expectHold('R12', hung(2999, full));
      expectHold('R12', hung(1600, full));
      expectBreak('R12', hung(1400, full), 'violation', /redialled only after 160\d ms/);
    }
  });

  it('is none until it goes', () =>
    expectHold(
      'R12',
      hung(2999)
        .without('peer.accepts')
        .plus({ t: left + 1500, type: 'peer.unlisten', path: SOCKET, removed: false })
        .plus({ t: left + 2500, type: 'peer.listen', path: SOCKET }),
    ));

  it('refuses nobody', () => {
    const reported = outages
      .without('peer.unlisten', ({ t }) => t > losses[0]! + 100)
      .without('peer.listen', ({ t }) => t > losses[1]!)
      .plus(report(losses[0]! + 1001))
      .plus({ t: losses[1]! - 0.01, type: 'peer.hung', path: SOCKET, full: true })
      .plus({ t: losses[1]! + 2900, type: 'peer.accepts', path: SOCKET });
    expectHold('R15', reported, /1 report in 3 outages/);
  });
});

describe('R12 a dialling QEMU comes back in time', () => {
  it('holds when it redials on its interval', () =>
    expectHold(
      'R12',
      good,
      /redialled 40\d\d ms after the loss, 90\d ms after the peer listened again; interval 1000 ms/,
    ));

  it('counts from the loss when the peer listens all along', () => {
    const listening = client({ away: [900] })
      .without('peer.unlisten')
      .without('peer.listen', ({ t }) => t > 100);
    expectHold('R12', listening, /redialled 100\d ms after the loss; interval/);
    expectBreak('R12', listening.stretch(loss.t + 1, 1600), 'violation', /redialled only after 26\d\d ms of listening/);
  });

  it('breaks when it redials too early', () => {
    const early = client({ reconnectMs: 1000, away: [300] }).with(
      'session.open',
      ({ session }) => session === 2,
      () => ({ t: loss.t + 412 }),
    );
    expectBreak('R12', early, 'violation', /redialled 412 ms after session 1 ended, interval 1000 ms/);
  });

  it('takes a loss at a cut to be as old as the message at which the peer left', () => {
    const early = client({ reconnectMs: 1000, away: [300] }).with(
      'session.open',
      ({ session }) => session === 2,
      () => ({ t: loss.t + 912 }),
    );
    const leftAt = (ms: number, cut: object) =>
      early
        .plus({ ...early.find('wire.recv', ({ session }) => session === 1, -1), t: loss.t - ms })
        .with('session.close', ({ session }) => session === 1, cut);
    expectHold('R12', leftAt(70, { cut: 'GET_VRING_BASE.2.after-read' }));
    expectBreak(
      'R12',
      leftAt(60, { cut: 'GET_VRING_BASE.2.after-read' }),
      'violation',
      /redialled 912 ms after session 1/,
    );
    expectBreak('R12', leftAt(70, {}), 'violation', /redialled 912 ms after session 1/);
  });

  it('takes the timer of a refused first dial for what it is, until it was due, and once', () => {
    const early = (story: Story, ms: number) =>
      story.with(
        'session.open',
        ({ session }) => session === 2,
        () => ({ t: story.find('session.close').t + ms }),
      );
    const quick = client({ reconnectMs: 1000, away: [300] });
    const first = quick.find('session.open').t;
    const late = (story: Story) =>
      story.with('peer.listen', ({ t }) => t === story.find('peer.listen').t, { t: first - 1 });
    expectHold('R12', early(late(quick), 412));
    expectBreak('R12', early(quick, 412), 'violation', /redialled 412 ms after session 1 ended/);
    // Nobody is lost less than an interval after the start: what was armed then has run.
    const slow = quick.stretch(first + 5, 2000);
    expectBreak('R12', early(late(slow), 412), 'violation', /redialled 412 ms after session 1 ended/);
  });

  it('breaks when it gives up', () => {
    const gone = good.only((e) => e.t < redial.t).plus({ t: redial.t + 3000, type: 'run.end' });
    expectBreak('R12', gone, 'violation', /no connection in 39\d\d ms of listening/);
  });

  it('takes off what the machine took', () => {
    const slow = good.stretch(redial.t, 2000);
    expectBreak('R12', slow, 'violation', /only after 29\d\d ms/);
    expectHold(
      'R12',
      slow.plus(
        { t: redial.t - 500, type: 'pace', lag: 0, delay: 0 },
        { t: redial.t + 1900, type: 'pace', lag: 600, delay: 900 },
      ),
    );
  });

  it('excuses an immediate redial while QEMU starts up', () => {
    const starting = client({ away: [400] }).with('session.open', ({ session }) => session === 2, { t: loss.t + 5 });
    expectHold(
      'R12',
      starting.with('qmp.ready', () => true, { t: loss.t + 50 }),
    );
  });

  it('says nothing for a server, without an interval, or when the end came too soon', () => {
    expectNotApplicable('R12', server());
    expectNotApplicable(
      'R12',
      good.with('run.begin', () => true, { reconnectMs: 0 }),
    );
    expectNotApplicable(
      'R12',
      good.only((e) => e.t < redial.t - 100),
    );
  });
});

describe('R13 without an interval there is no redial', () => {
  const none = good.with('run.begin', () => true, { reconnectMs: 0 });
  const quiet = none.only((e) => e.t < redial.t);

  it('holds when none comes', () => expectHold('R13', quiet, /no dial in the \d+ ms after session 1/));
  it('breaks when one comes', () => expectBreak('R13', none, 'violation', /dialled 40\d\d ms after session 1 ended/));
  it('breaks when the chardev says connected', () =>
    expectBreak(
      'R13',
      quiet.plus({ t: loss.t + 1500, type: 'chardev.state', connected: true, means: 'qom' }),
      'violation',
      /connected 1500 ms after/,
    ));
  it('says nothing with an interval, for a server, or without a loss', () => {
    expectNotApplicable('R13', good);
    expectNotApplicable('R13', server());
    expectNotApplicable(
      'R13',
      client({ away: [] }).with('run.begin', () => true, { reconnectMs: 0 }),
    );
  });
});

describe('R14 a peer that is not there yet is waited for', () => {
  const open = good.find('session.open');
  /** QEMU starts, the peer listens 1.5 s later, QEMU connects 600 ms after that. */
  const late = good.stretch(open.t, 2100).with('peer.listen', ({ t }) => t < 1, { t: open.t + 1500 });
  const unserved = late.only((e) => e.t < open.t + 2000);

  it('holds when one connection comes', () =>
    expectHold('R14', late, /one connection, 600 ms after the peer listened/));

  it('breaks when it comes late or never', () => {
    expectBreak('R14', late.stretch(open.t + 2000, 3000), 'violation', /connected only after 3600 ms of listening/);
    expectBreak(
      'R14',
      unserved.plus({ t: open.t + 4500, type: 'run.end' }),
      'violation',
      /no connection after 3000 ms/,
    );
  });

  it('breaks when there are two', () => {
    const double = late.plus({
      t: open.t + 2101,
      type: 'session.open',
      session: 9,
      by: 'accept',
      pid: PID,
      extra: true,
    });
    expectBreak('R14', double, 'violation', /2 connections at the start instead of one/);
  });

  it('holds when the tester accepts the next before it notices that QEMU gave the first up', () => {
    const failed = (noticed: number) =>
      late
        .plus({ t: open.t + 2000, type: 'session.open', session: 8, by: 'accept', pid: PID })
        .plus({ t: open.t + 2100 + noticed, type: 'session.close', session: 8, by: 'front-end', how: 'eof' });
    expectHold('R14', failed(100), /one connection, 500 ms after/);
    expectBreak('R14', failed(400), 'violation', /2 connections at the start/);
  });

  it('breaks when QEMU gives up at once', () => {
    const failed = unserved.plus(
      { t: 20, type: 'qemu.stderr', line: `-chardev socket: Failed to connect to '${SOCKET}': Connection refused` },
      { t: 21, type: 'qemu.exit', code: 1, signal: null },
    );
    expectBreak('R14', failed, 'violation', /gave up with exit 1: .*Connection refused/);
  });

  it('says nothing when the peer was first, never came, or the end came too soon', () => {
    expectNotApplicable('R14', good);
    expectNotApplicable('R14', unserved);
    expectNotApplicable('R14', unserved.without('peer.listen'));
    expectNotApplicable('R14', server());
  });
});
