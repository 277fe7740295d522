import { describe, expect, it } from 'vitest';
import { legalTransitions, observe } from '../../src/contract/index.js';
import { client, PID, server } from './exchange.js';
import { expectBreak, expectHold, expectNotApplicable } from './judging.js';
import type { Story, Timed } from './timeline-builder.js';

const good = server();
const loss = good.find('session.close');
const disconnected = good.find('chardev.state', ({ connected }) => !connected);

describe('the chardev model', () => {
  it('has the transitions that tcp_chr_change_state asserts', () =>
    expect(legalTransitions).toEqual({
      DISCONNECTED: ['CONNECTING'],
      CONNECTING: ['CONNECTED', 'DISCONNECTED'],
      CONNECTED: ['DISCONNECTED'],
    }));

  it('observes the states of a run', () => {
    const { sequence, illegal } = observe(good.timeline());
    expect(sequence.map(({ state, session }) => `${session} ${state}`)).toEqual([
      ...['1 CONNECTING', '1 CONNECTED', '1 DISCONNECTED'],
      ...['2 CONNECTING', '2 CONNECTED', '2 DISCONNECTED'],
    ]);
    expect(illegal).toEqual([]);
  });
});

describe('M1 the chardev follows its state machine', () => {
  it('holds', () => {
    expectHold('M1', good, /2 connections, 6 transitions/);
    expectHold('M1', client());
  });

  describe('its file name', () => {
    const name = 'unix:/run/vhost-user.sock,server=on';
    const saying = (story: Story, texts: readonly string[]) =>
      story.plus(
        ...texts.map((text, i): Timed => {
          const { t, connected } = story.find('chardev.state', () => true, i);
          return { type: 'chardev.state', t: t + 0.1, means: 'filename', connected, text };
        }),
      );

    it('holds when it is that of the socket, in the same words', () => {
      expectHold('M1', saying(good, [name, `disconnected:${name}`, name]));
      expectHold('M1', saying(client(), ['unix:', 'disconnected:unix:/run/vhost-user.sock', 'unix:']));
    });

    it('breaks when it is another, or not the one of before', () => {
      const other = saying(good, [name, 'disconnected:unix:/run/other.sock,server=on', name]);
      expectBreak(
        'M1',
        other,
        'violation',
        /^query-chardev names disconnected:unix:\S+ while disconnected, the socket/,
      );
      const lost = saying(client(), ['unix:', 'disconnected:socket', 'unix:']);
      expectBreak(
        'M1',
        lost,
        'violation',
        /^query-chardev names disconnected:socket while disconnected, the socket is/,
      );
      expectBreak(
        'M1',
        saying(good, [name, `disconnected:${name}`, 'unix:/run/vhost-user.sock']),
        'violation',
        /before$/,
      );
    });

    it('is the operator’s own in a QEMU that was joined', () =>
      expectHold(
        'M1',
        saying(good, ['unix:/s', 'disconnected:unix:/s']).with('run.begin', () => true, { joined: true }),
      ));
  });

  it('breaks when two sessions are served at once', () => {
    const both = client().plus({ t: 300, type: 'session.open', session: 9, by: 'accept', pid: PID, extra: true });
    expectBreak('M1', both, 'violation', /CONNECTED to CONNECTING: session 9 was served while session 1 was/);
  });

  it('holds when the end of a session by QEMU is noticed after the next began', () => {
    const quick = server({ away: [3] });
    const next = quick.find('wire.recv', ({ session }) => session === 2);
    const late = (after: number) =>
      quick.with('session.close', ({ session }) => session === 1, { by: 'front-end', how: 'eof', t: next.t + after });
    expectHold('M1', late(0.05), /6 transitions/);
    expect(observe(late(0.05).timeline()).sequence.map(({ state, session }) => `${session} ${state}`)).toEqual([
      ...['1 CONNECTING', '1 CONNECTED', '1 DISCONNECTED'],
      ...['2 CONNECTING', '2 CONNECTED', '2 DISCONNECTED'],
    ]);
    expectBreak('M1', late(300), 'violation', /CONNECTED to CONNECTING: session 2 was served while session 1 was/);
  });

  it('walks every observed state through the table', () => {
    const both = client()
      .plus({ t: 300, type: 'session.open', session: 9, by: 'accept', pid: PID, extra: true })
      .plus({ t: 310, type: 'session.close', session: 9, by: 'peer', how: 'close', extra: true });
    const { illegal } = observe(both.timeline());
    expect(illegal.map(({ from, to, seen }) => `${from} to ${to}: ${seen}`)).toEqual([
      'CONNECTED to CONNECTING: session 9 was served while session 1 was CONNECTED',
      'DISCONNECTED to DISCONNECTED: session 1 ended while session 9 was DISCONNECTED',
    ]);
  });

  it('breaks when the chardev says connected without a connection', () => {
    const stuck = good.without('chardev.state', (e) => e.t === disconnected.t);
    expectBreak(
      'M1',
      stuck,
      'violation',
      /DISCONNECTED to CONNECTED: the chardev says connected for 3\d\d\d ms without/,
    );
    expectHold(
      'M1',
      good.with('chardev.state', (e) => e.t === disconnected.t, { t: loss.t + 1500 }),
    );
  });

  it('breaks when query-chardev says connected, whatever the property says', () => {
    const said = good.plus({ t: loss.t - 300, type: 'chardev.state', connected: true, means: 'filename' });
    expectBreak(
      'M1',
      said,
      'violation',
      /DISCONNECTED to CONNECTED: query-chardev says connected for 3\d\d\d ms without/,
    );
  });

  it('breaks when the chardev says disconnected of a served connection', () => {
    const first = good.find('chardev.state');
    const wrong = good.with('chardev.state', (e) => e.t === first.t, { connected: false });
    expectHold('M1', wrong);
    const long = server({ away: [500] })
      .stretch(400, 4000)
      .with('chardev.state', (e) => e.t < 400, { connected: false });
    const asked = long.plus({ t: 2000.4, type: 'qmp.heartbeat', sent: 2000, latency: 0.4, status: 'running' });
    expectBreak('M1', asked, 'violation', /CONNECTED to DISCONNECTED: the chardev says disconnected/);
  });

  it('does not take the word of a QEMU that could not be asked', () => {
    const deaf = good
      .without('chardev.state', (e) => e.t === disconnected.t)
      .without('qmp.heartbeat', ({ sent }) => sent > loss.t);
    expectHold('M1', deaf);
  });

  it('says nothing without a connection', () =>
    expectNotApplicable(
      'M1',
      good.only((e) => e.t < 10),
    ));
});
