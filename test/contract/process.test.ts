import { describe, it } from 'vitest';
import { client, server } from './exchange.js';
import { expectBreak, expectHold, expectNotApplicable } from './judging.js';
import { Story } from './timeline-builder.js';

const good = server();
const loss = good.find('session.close');
const exit = good.find('qemu.exit');
const head = ['run.begin', 'qemu.spawn'];

describe('R1 QEMU survives the peer', () => {
  it('holds when QEMU lives until it is asked to quit', () => expectHold('R1', good, /lived through 1 connection/));

  it('breaks when QEMU dies of a signal, with the assertion it left', () => {
    const dead = good.crash(loss.t + 3001).plus({
      t: loss.t + 3001,
      type: 'qemu.post-mortem',
      assertion: {
        file: 'chardev/char-socket.c',
        line: 98,
        function: 'tcp_chr_change_state',
        expression: 's->state == TCP_CHARDEV_STATE_DISCONNECTED',
      },
    });
    expectBreak('R1', dead, 'crash', /SIGABRT, assertion .* in tcp_chr_change_state .*, 3001 ms after session 1 ended/);
  });

  it('breaks when QEMU exits by itself', () => {
    const gone = (code: number) => good.crash(1000).with('qemu.exit', () => true, { code, signal: null });
    expectBreak('R1', gone(1), 'crash', /exit code 1/);
    expectBreak('R1', gone(0), 'violation', /exit code 0/);
  });

  it('breaks when a signal kills QEMU before any connection', () =>
    expectBreak('R1', good.only(({ type }) => head.includes(type)).crash(30), 'crash', /SIGABRT/));

  it('leaves a refused configuration to others', () => {
    const refused = good.only(({ type }) => head.includes(type));
    expectNotApplicable('R1', refused.plus({ t: 30, type: 'qemu.exit', code: 1, signal: null }));
  });

  it('says nothing when no peer left', () => expectNotApplicable('R1', server({ away: [] })));
});

describe('R2 the control plane answers unless a peer keeps QEMU waiting', () => {
  const away = good.find('qmp.heartbeat', ({ sent }) => sent > loss.t + 100);

  it('holds when every heartbeat is answered', () => expectHold('R2', good, /\d+ heartbeats, at most 0.4 ms/));

  it('breaks when an answer without a peer takes too long', () =>
    expectBreak(
      'R2',
      good.with('qmp.heartbeat', (e) => e === away, { latency: 1500 }),
      'hang',
      /silent for 1500 ms with no peer to wait for/,
    ));

  it('does not ask an operator’s QEMU for a monitor at its start', () => {
    const unasked = good
      .without('qmp.ready')
      .only(({ type }) => !/^qmp\./.test(type))
      .stretch(loss.t + 1, 6000);
    expectBreak('R2', unasked, 'hang', /QMP was not ready/);
    const operators = unasked.with('run.begin', () => true, { joined: true });
    expectNotApplicable('R2', operators);
    // A monitor that was asked late says nothing of the start, and is judged by its answers.
    expectHold(
      'R2',
      operators.plus(
        { t: 7000, type: 'qmp.ready' },
        { t: 7001, type: 'qmp.heartbeat', sent: 7000, latency: 1, status: 'running' },
      ),
      /1 heartbeat/,
    );
  });

  it('does not count a silence beyond the loss of the monitor', () => {
    const silent = good
      .without('qmp.heartbeat', ({ sent }) => sent > loss.t)
      .stretch(loss.t + 200, 6000)
      .plus({ t: loss.t + 1200, type: 'qmp.silent', since: loss.t + 150 });
    expectBreak('R2', silent, 'hang', /silent for \d{4} ms/);
    expectHold(
      'R2',
      silent
        .plus({ t: loss.t + 1100 - 300, type: 'qmp.lost', why: 'x' })
        .with('qmp.silent', () => true, { t: loss.t + 700 }),
      /heartbeats/,
    );
  });

  it('breaks when there is no answer at all', () => {
    const deaf = good
      .without('qmp.heartbeat', ({ sent }) => sent > loss.t)
      .plus({ t: loss.t + 1100, type: 'qmp.silent', since: loss.t + 100 });
    expectBreak('R2', deaf, 'hang', /silent for 36\d\d ms .* after session 1 ended/);
  });

  describe('of a peer that owes an answer', () => {
    const ask = { type: 'wire.recv', session: 1, index: 99, flags: 1, size: 0, body: {}, fds: 0 } as const;
    const owing = good.plus({ ...ask, t: loss.t - 500, request: 11, name: 'GET_VRING_BASE' });
    const stalled = good.find('qmp.heartbeat', ({ sent }) => sent > loss.t - 500);
    const beat = (story: typeof good, latency: number) =>
      story.with('qmp.heartbeat', ({ sent }) => sent === stalled.sent, { latency });

    it('excuses the time, and tells it', () => {
      const seen = /it waited 4\d\d ms for the answer to GET_VRING_BASE, back after 900 ms/;
      expectHold('R2', beat(owing, loss.t + 900 - stalled.sent), seen);
    });

    it('does not excuse what comes after it', () =>
      expectBreak(
        'R2',
        beat(owing, loss.t + 1200 - stalled.sent),
        'hang',
        /silent for 1200 ms with no peer to wait for, 1200 ms after session 1/,
      ));

    it('does not excuse it when nothing is owed', () =>
      expectBreak('R2', beat(good, loss.t + 900 - stalled.sent), 'hang', /silent for 1[34]\d\d ms/));

    it('excuses one that reads nothing, or left half of a request on the other channel', () => {
      const fault = {
        t: loss.t - 500,
        type: 'peer.fault',
        session: 1,
        fault: 'deaf',
        what: 'reads nothing any more',
      } as const;
      expectHold('R2', beat(good.plus({ ...fault, spoils: 'all' }), loss.t + 900 - stalled.sent));
      const half = good.plus({ ...fault, spoils: 'channel', half: true });
      expectHold('R2', beat(half, loss.t + 900 - stalled.sent));
      const ended = half.plus({ t: loss.t - 300, type: 'wire.backend-close', session: 1, by: 'peer' });
      expectBreak('R2', beat(ended, loss.t + 900 - stalled.sent), 'hang', /silent for 1200 ms/);
    });
  });

  it('excuses what the back-end of another port owes, as long as it does', () => {
    const silent = good.with('qmp.heartbeat', (e) => e === away, { latency: 2500 });
    const other = (t: number, state: 'owing' | 'connected', port = 'p1') =>
      ({ t, type: 'peer.other', port, state }) as const;
    const owing = silent.plus(other(away.sent - 100, 'owing'), other(away.sent + 200, 'connected', 'p2'));
    expectHold('R2', owing.plus(other(away.sent + 1600, 'connected')));
    expectBreak('R2', owing.plus(other(away.sent + 1200, 'connected')), 'hang', /silent for 1300 ms/);
    expectBreak('R2', silent.plus(other(away.sent - 100, 'connected')), 'hang', /silent for 2500 ms/);
  });

  it('excuses a peer that hangs with QEMU in its backlog, and not one whose backlog is full', () => {
    const away = client();
    const left = away.find('session.close').t;
    const beat = away.find('qmp.heartbeat', ({ sent }) => sent > left + 100);
    const silent = away.with('qmp.heartbeat', ({ sent }) => sent === beat.sent, { latency: 2500 });
    const path = '/run/s';
    const hung = (full?: true) =>
      silent.plus(
        { t: left + 1, type: 'peer.hung', path, ...(full ? { full } : {}) },
        { t: beat.sent + 1600, type: 'peer.accepts', path },
      );
    expectHold('R2', hung());
    expectBreak('R2', hung(true), 'hang', /silent for 2500 ms with no peer to wait for/);
    expectBreak('R2', silent, 'hang', /silent for 2500 ms/);
  });

  it('takes off what the machine took', () => {
    const slow = good
      .with('qmp.heartbeat', (e) => e === away, { latency: 1500 })
      .plus(
        { t: away.sent, type: 'pace', lag: 100, delay: 0 },
        { t: away.sent + 1400, type: 'pace', lag: 400, delay: 400 },
      );
    expectHold('R2', slow);
  });

  it('breaks when QMP is not there long after the first handshake, whether the peer stays or not', () => {
    const ready = good.find('qmp.ready');
    expectBreak(
      'R2',
      good.stretch(ready.t, 5500),
      'hang',
      /QMP was ready only 55\d\d ms after the handshake of session 1/,
    );
    const never = good.only((e) => e.t < ready.t).plus({ t: ready.t + 6000, type: 'run.end' });
    expectBreak('R2', never, 'hang', /QMP was not ready 60\d\d ms after the handshake of session 1/);
    const left = never.plus({ t: ready.t + 10, type: 'session.close', session: 1, by: 'peer', how: 'close' });
    expectBreak('R2', left, 'hang', /was not ready 60\d\d ms/);
  });

  it('gives a starting QEMU its time, less what the machine took', () => {
    const ready = good.find('qmp.ready');
    expectHold('R2', good.stretch(ready.t, 4500));
    const slow = good
      .stretch(ready.t, 5500)
      .plus({ t: ready.t, type: 'pace', lag: 0, delay: 0 }, { t: ready.t + 5400, type: 'pace', lag: 400, delay: 400 });
    expectHold('R2', slow);
  });

  it('waits for a complete handshake, on whichever connection', () => {
    const ready = good.find('qmp.ready');
    const owner = good.find('wire.recv', ({ name }) => name === 'SET_OWNER');
    const broken = good.only((e) => e.t < owner.t).plus({ t: ready.t + 20_000, type: 'run.end' });
    expectNotApplicable('R2', broken);
    // The handshake is broken off, and a second peer comes 8 s later.
    const second = good.stretch(loss.t + 100, 8000).events.filter((e) => e.t >= loss.t + 100);
    expectHold('R2', broken.only((e) => e.type !== 'run.end').plus(...second, { ...ready, t: loss.t + 11_200 }));
  });

  it('excuses what the peer owes, and a handshake whose end it never acknowledged', () => {
    const ready = good.find('qmp.ready');
    const last = good.find('wire.recv', ({ name, session }) => name === 'SET_VRING_ERR' && session === 1, -1);
    const enable = good.find('wire.recv', ({ name }) => name === 'SET_VRING_ENABLE');
    const asking = { ...enable, flags: enable.flags | 8 };
    const waiting = good.only((e) => e.t < ready.t).plus({ t: ready.t + 6000, type: 'run.end' });
    expectNotApplicable('R2', waiting.plus({ ...asking, t: last.t + 0.05 }));
    const late = waiting.plus(
      { ...asking, t: last.t + 0.05 },
      {
        ...{ t: last.t + 3000, type: 'wire.send', session: 1, channel: 'reply', request: asking.request },
        ...{ name: asking.name, flags: 5, size: 8, body: { value: '0x0' }, fds: 0 },
      },
    );
    expectNotApplicable('R2', late);
    expectNotApplicable(
      'R2',
      waiting.with('wire.recv', (e) => e.t === last.t, { flags: 9 }),
    );
  });

  it('says nothing when QMP was never asked', () => expectNotApplicable('R2', good.without('qmp.heartbeat')));
});

describe('R3 the machine keeps running', () => {
  const later = (status: string) => good.with('qmp.heartbeat', ({ sent }) => sent > loss.t + 500, { status });

  it('holds when the run state is constant', () => expectHold('R3', good, /running throughout/));

  it('breaks when it changes without a command', () =>
    expectBreak('R3', later('paused'), 'violation', /from running to paused without a command/));

  it('breaks when the machine stops for a moment that no heartbeat meets', () => {
    const blinks = good.plus(
      { type: 'qmp.event', t: loss.t + 500, event: 'STOP', data: {} },
      { type: 'qmp.event', t: loss.t + 501, event: 'RESUME', data: {} },
    );
    expectBreak('R3', blinks, 'violation', /^QEMU told STOP without a command \(and 1 more\)/);
    const told = blinks.plus({ type: 'qmp.command', t: loss.t + 400, id: 7, execute: 'stop' });
    expectHold('R3', told);
    expectHold(
      'R3',
      blinks.with('run.begin', () => true, { joined: true }),
    );
  });

  it('asks an operator’s QEMU for states only that no command of others leads to', () => {
    const operators = (status: string) => later(status).with('run.begin', () => true, { joined: true });
    expectHold('R3', operators('paused'));
    expectBreak('R3', operators('internal-error'), 'violation', /from running to internal-error/);
  });

  it.each(['stop', 'human-monitor-command'])('holds when a command explains the change: %s', (execute) =>
    expectHold('R3', later('paused').plus({ t: loss.t + 450, type: 'qmp.command', id: 1, execute })),
  );

  it('holds when the command came while the state before it was being asked for', () => {
    const first = good.find('qmp.heartbeat');
    const slow = later('paused').with('qmp.heartbeat', (e) => e.sent === first.sent, { t: first.sent + 5 });
    const stop = (t: number) => slow.plus({ t, type: 'qmp.command', id: 1, execute: 'stop' });
    expectHold('R3', stop(first.sent + 2));
    expectBreak('R3', stop(first.sent - 2), 'violation', /from running to paused/);
  });

  it('says nothing without a loss', () => expectNotApplicable('R3', server({ away: [] })));
});

describe('R4 QEMU quits when asked', () => {
  it('holds on exit code 0', () => expectHold('R4', good, /exit code 0 after 3.8 ms/));

  it('breaks when QEMU dies of the quit', () => {
    expectBreak(
      'R4',
      good.with('qemu.exit', () => true, { code: null, signal: 'SIGSEGV' }),
      'crash',
      /after quit .* SIGSEGV/,
    );
    expectBreak(
      'R4',
      good.with('qemu.exit', () => true, { code: 1 }),
      'crash',
      /exit code 1/,
    );
  });

  it('breaks when QEMU has to be killed, or takes too long', () => {
    const late = good.stretch(exit.t, 8000);
    expectBreak(
      'R4',
      late.with('qemu.exit', () => true, { code: null, signal: 'SIGKILL', asked: 'kill' }),
      'hang',
      /had to be killed/,
    );
    expectBreak('R4', late, 'hang', /took 80\d\d ms after quit/);
  });

  it('excuses the time that a peer owes an answer', () => {
    const quit = good.find('qmp.command');
    const asks = good.find('wire.recv', ({ name, t }) => name === 'GET_VRING_BASE' && t > quit.t);
    const stalled = good
      .only((event) => event.t <= asks.t || !['wire.recv', 'wire.send', 'ring.stop'].includes(event.type))
      .stretch(asks.t + 0.1, 8000);
    expectHold('R4', stalled);
  });

  it('says nothing when QEMU was killed without quit, or hardly waited for', () => {
    const killed = good.with('qemu.exit', () => true, { code: null, signal: 'SIGKILL', asked: 'kill' });
    expectNotApplicable('R4', killed);
    expectNotApplicable('R4', killed.without('qmp.command'));
    expectNotApplicable('R4', good.crash(500));
  });
});

describe('R5 nothing leaks', () => {
  const cycles = (fds: number[], threads = fds.map(() => 4)) => {
    const story = server({ away: fds.slice(1).map(() => 200) });
    let n = 0;
    return new Story(
      story.events.map((e) => (e.type === 'proc.sample' ? { ...e, fds: fds[n]!, threads: threads[n++]! } : e)),
    );
  };

  it('holds when the counts are the same', () =>
    expectHold('R5', cycles([30, 30, 30]), /30 file descriptors and 4 threads/));
  it('holds when something opened once', () => expectHold('R5', cycles([30, 33, 33, 33])));
  it('holds when one return added one', () => expectHold('R5', cycles([30, 31])));
  it('breaks when descriptors grow', () => {
    expectBreak(
      'R5',
      cycles([30, 31, 32]),
      'violation',
      /file descriptors grew from 31 in session 2 to 32 in session 3/,
    );
    expectBreak('R5', cycles([30, 34]), 'violation', /grew from 30 in session 1 to 34/);
  });
  it('breaks when threads grow', () =>
    expectBreak('R5', cycles([30, 30, 30, 30], [4, 4, 5, 6]), 'violation', /threads grew from 4 in session 2 to 6/));
  it('holds when one thread is still ending', () => expectHold('R5', cycles([30, 30, 30], [4, 4, 5])));
  it('counts nothing of a session that never settled', () => {
    const settled = server({ away: [200] }).events;
    const settling = settled.map((e) => (e.type === 'proc.sample' ? { t: e.t, type: e.type, fds: 28, threads: 4 } : e));
    expectNotApplicable('R5', new Story(settling));
    // Half of the rings' descriptors, seen while a return was under way, is no baseline.
    const story = server({ away: [200, 200] });
    const second = story.find('session.open', ({ session }) => session === 2);
    const between = story.find('proc.sample', ({ t }) => t > second.t);
    expectHold('R5', story.plus({ t: between.t - 1, type: 'proc.sample', fds: 28, threads: 4 }));
  });
  it('counts nothing after the driver reset and its rings were freed', () => {
    const story = server({ away: [200] });
    const loss = story.find('session.close', ({ session }) => session === 1);
    const freed = story.plus(
      { t: loss.t - 20, type: 'driver.reset' },
      { t: loss.t - 10, type: 'proc.sample', fds: 20, threads: 4 },
    );
    expectNotApplicable('R5', freed);
  });
  it('counts the least of a session', () => {
    const story = client();
    const sample = story.find('proc.sample', () => true, -1);
    expectHold('R5', story.plus({ t: sample.t - 5, type: 'proc.sample', fds: 50, threads: 9 }));
  });
  it('compares sessions with as many back-ends of other ports', () => {
    const grown = cycles([30, 30, 36]);
    expectBreak('R5', grown, 'violation', /grew from 30/);
    const other = (t: number, state: 'away' | 'connected') => ({ t, type: 'peer.other', port: 'p1', state }) as const;
    const end = (nth: number) => grown.find('session.close', ({ session }) => session === nth).t;
    expectNotApplicable('R5', grown.plus(other(end(2) + 10, 'connected')));
    // What was there and left before is no excuse.
    expectBreak('R5', grown.plus(other(0, 'connected'), other(1, 'away')), 'violation', /grew from 30/);
    const without = cycles([36, 30, 36, 36]);
    const there = [other(0, 'connected'), other(end(1) + 10, 'away'), other(end(2) + 10, 'connected')];
    expectBreak('R5', without, 'violation', /grew from 30/);
    expectHold('R5', without.plus(...there), /36 file descriptors/);
  });
  it('counts nothing that may be of a QEMU that had ended the session before the end was read', () => {
    // A yank: QEMU closed the connection of session 2, and had half of it freed when it was looked at.
    const story = server({ away: [200, 200, 200] });
    const loss = story.find('session.close', ({ session }) => session === 2);
    const freed = story.plus({ t: loss.t - 1, type: 'proc.sample', fds: 24, threads: 4 });
    expectBreak('R5', freed, 'violation', /grew from 24 in session 2/);
    const yanked = freed.events.map((e) =>
      e.type === 'session.close' && e.session === 2 ? { ...e, by: 'front-end' as const, how: 'eof' as const } : e,
    );
    expectHold('R5', new Story(yanked));
    // A stop of its rings: QEMU had freed the first one's when it asked for its index.
    const asked = { ...story.find('wire.recv', ({ name }) => name === 'GET_VRING_BASE'), session: 2, t: loss.t - 0.5 };
    expectHold('R5', freed.plus(asked));
  });
  it('says nothing without two sessions alike', () => {
    expectNotApplicable('R5', server({ away: [] }));
    expectNotApplicable('R5', good.without('proc.sample'));
  });
});
