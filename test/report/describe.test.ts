import { describe, expect, it } from 'vitest';
import { describeEvent, renderEvents } from '../../src/report/describe.js';
import type { EventBody } from '../../src/timeline/index.js';
import { events } from './fixtures.js';

const line = (body: EventBody) => describeEvent(events(body)[0]!);

describe('describeEvent', () => {
  it.each<[EventBody, string]>([
    [{ type: 'step.begin', index: 2, verb: 'restart', params: { away: 3100 } }, 'step 3 restart {"away":3100}'],
    [
      { type: 'step.end', index: 2, verb: 'await', outcome: 'timeout', reason: 'no handshake' },
      'step 3 await timeout: no handshake',
    ],
    [
      { type: 'ring.start', session: 2, ring: 1, size: 256, base: 64, usedIdx: 64, availIdx: 66, enabled: true },
      'ring 1 starts at 64, used 64, avail 66, enabled (session 2)',
    ],
    [
      {
        ...{ type: 'ring.start', session: 2, ring: 1, size: 256, layout: 'packed', base: 0x80008000 },
        ...{ available: false, eventFlags: 1, enabled: false },
      },
      'ring 1 starts at 0x80008000 (index 0, wrap counter 1), nothing available there, disabled (session 2)',
    ],
    [
      { type: 'ring.stop', session: 2, ring: 1, layout: 'packed', base: 0x2c },
      'ring 1 stops at 0x0000002c (index 44, wrap counter 0) (session 2)',
    ],
    [
      { type: 'driver.config', mac: '52:54:00:12:34:56', pairs: 2, mtu: 9000 },
      'the device has MAC 52:54:00:12:34:56, 2 queue pairs, MTU 9000',
    ],
    [{ type: 'driver.kick', ring: 1 }, 'driver notifies ring 1'],
    [
      { type: 'driver.broken', rule: 'ring', ring: 1, what: '65473 used of 256' },
      'the device breaks the rules of ring 1: 65473 used of 256',
    ],
    [
      { type: 'driver.broken', rule: 'device', what: 'status 4 after a reset' },
      'the device breaks the rules of its set-up: status 4 after a reset',
    ],
    [{ type: 'driver.kick', ring: 1, count: 512 }, 'driver notifies ring 1 512 times'],
    [
      { type: 'session.close', session: 1, by: 'peer', how: 'abort', unread: 1 },
      'session 1 ends by peer: abort, 1 byte of QEMU unread',
    ],
    [
      { type: 'session.open', session: 2, by: 'dial', pid: 7, extra: true },
      'session 2 opens by dial, process 7 (second client)',
    ],
    [
      {
        type: 'wire.recv',
        session: 1,
        index: 0,
        request: 12,
        name: 'SET_VRING_KICK',
        flags: 9,
        size: 8,
        body: { index: 0 },
        fds: 1,
      },
      '<- SET_VRING_KICK {"index":0} +1 fd (reply wanted) (session 1)',
    ],
    [
      {
        type: 'wire.recv',
        session: 1,
        index: 0,
        request: 1,
        name: 'GET_FEATURES',
        flags: 1,
        size: 0,
        body: {},
        fds: 0,
      },
      '<- GET_FEATURES (session 1)',
    ],
    [
      {
        type: 'traffic.end',
        burst: 1,
        outcome: 'stalled',
        missing: [
          {
            dir: 'tx',
            pair: 0,
            seqs: [
              [3, 5],
              [9, 9],
            ],
          },
        ],
      },
      'burst 1 stalled, missing tx pair 0: 3-5 9',
    ],
    [{ type: 'qemu.exit', code: null, signal: 'SIGABRT' }, 'QEMU ends: killed by SIGABRT (unasked)'],
    [{ type: 'qemu.exit', code: null, signal: null }, 'QEMU ends: how is not known (unasked)'],
    [{ type: 'qemu.exit', code: 0, signal: null, asked: 'quit' }, 'QEMU ends: exit code 0 (asked to by quit)'],
    [
      { type: 'qemu.post-mortem', assertion: { file: 'a.c', line: 3, function: 'f', expression: 'x > 0' } },
      'assertion in f (a.c:3): x > 0; no backtrace: no core',
    ],
    [{ type: 'socket.path' }, "QEMU's socket path is gone"],
    [{ type: 'drill.note', text: 'OVS \u009bupgraded' }, 'note: OVS \\x9bupgraded'],
    [{ type: 'peer.resumed', session: 3 }, 'peer serves again (session 3)'],
    [{ type: 'peer.other', port: 'p1', state: 'away' }, 'p1’s peer is away'],
    [{ type: 'peer.other', port: 'p1', state: 'owing' }, 'p1’s peer is at fault: QEMU may wait for it'],
    [{ type: 'guest.ready' }, 'guest is up'],
    [
      {
        type: 'guest.echo',
        from: '10.0.0.2',
        id: 7,
        seqs: [
          [1, 3],
          [9, 9],
        ],
        session: 2,
      },
      'guest 10.0.0.2 pings: 1-3 9 (session 2)',
    ],
    [
      { type: 'guest.ping', nic: 'eth0', epoch: 1, number: 12, latency: 2 },
      'guest’s ping 12 by eth0 is answered after 2.0 ms',
    ],
    [{ type: 'guest.carrier', nic: 'eth0', up: true }, 'guest’s eth0 has a carrier'],
    [{ type: 'guest.carrier', nic: 'eth0', up: false }, 'guest’s eth0 has no carrier'],
    [{ type: 'guest.trouble', what: 'oops', line: 'BUG: at 0' }, 'guest’s kernel, oops: BUG: at 0'],
  ])('%j', (body, text) => {
    expect(line(body)).toBe(text);
  });

  it('keeps control characters from the terminal', () => {
    expect(line({ type: 'qemu.stderr', line: 'a\x1b[31mb\u009b\nc' })).toBe('stderr: a\\x1b[31mb\\x9b\\nc');
  });
});

describe('renderEvents', () => {
  it('gives times relative to the first event and marks the evidence', () => {
    const list = events({ type: 'run.end' }, { type: 'qmp.ready' }, { type: 'driver.reset' }).slice(1);
    expect(renderEvents(list, new Set([2]))).toEqual([
      '   +0.000 s  QMP is ready',
      '>  +0.100 s  driver resets the device',
    ]);
  });
});

describe('a backtrace', () => {
  it('gives every frame of a backtrace its line', () => {
    const frames = ['#0  abort () at abort.c:79', `#1  main_loop_wait (${'x'.repeat(200)})`];
    const [line, first, second] = renderEvents([{ seq: 0, t: 0, type: 'qemu.post-mortem', backtrace: frames }]);
    expect(line).toContain('backtrace of 2 frames');
    expect(first).toMatch(/^ {15}#0 {2}abort/);
    expect(second).toHaveLength(115);
  });
});
