import { describe, it } from 'vitest';
import { server } from './exchange.js';
import { expectBreak, expectHold, expectNotApplicable } from './judging.js';
import type { Story, Timed, TimedOf } from './timeline-builder.js';

/** Nothing is lost; the rings run from the driver's start to quit. */
const running = server({ away: [] });
const at = running.find('traffic.end').t + 50;
const quit = running.find('qmp.command', ({ execute }) => execute === 'quit');
const exit = running.find('qemu.exit');
const ask = running.find('wire.recv', ({ name }) => name === 'GET_VRING_BASE');
const answer = running.find('wire.send', ({ name }) => name === 'GET_VRING_BASE');
const status = running.find('wire.recv', ({ name }) => name === 'SET_STATUS');

const asks = (t: number, index: number): Timed[] => [
  { ...ask, t, body: { index } },
  { type: 'ring.stop', t: t + 0.1, session: 1, ring: index, base: 64 },
  { ...answer, t: t + 0.2, body: { index, num: 64 } },
];
const message = (t: number, name: TimedOf<'wire.recv'>['name'], body: TimedOf<'wire.recv'>['body']): Timed => ({
  ...status,
  t,
  name,
  body,
});
const noLongerAtQuit = (story: Story): Story =>
  story.without('wire.recv', ({ name, t }) => name === 'GET_VRING_BASE' && t > quit.t);

const reset: Timed = { type: 'driver.reset', t: at };
const stopped = noLongerAtQuit(running).plus(reset, ...asks(at + 1, 0), ...asks(at + 2, 1));

describe('R32 rings are stopped in order', () => {
  it('says nothing where no ring was stopped with its peer there', () => {
    expectNotApplicable('R32', server({ driver: 'none' }));
    expectNotApplicable(
      'R32',
      running.only(({ t }) => t < quit.t),
    );
  });

  it('holds when each started ring is asked for, whatever stops it', () => {
    expectHold('R32', running, /2 rings asked/);
    expectHold('R32', stopped, /2 rings asked/);
    for (const command of [
      { execute: 'stop' },
      { execute: 'system_reset' },
      { execute: 'set_link', arguments: { name: 'n0', up: false } },
    ])
      expectHold(
        'R32',
        stopped.without('driver.reset', ({ t }) => t === at).plus({ type: 'qmp.command', t: at, id: 3, ...command }),
        /2 rings/,
      );
  });

  it('breaks when one is not, or late', () => {
    const long = stopped.stretch(at + 10, 3000);
    const forgotten = long.without('wire.recv', ({ name, t }) => name === 'GET_VRING_BASE' && t === at + 2);
    expectBreak('R32', forgotten, 'violation', /GET_VRING_BASE of ring 1 came not in \d+ ms after the driver's reset/);
    const late = noLongerAtQuit(running)
      .plus(reset, ...asks(at + 1, 0), ...asks(at + 2, 1))
      .stretch(at + 2, 2500);
    expectBreak('R32', late, 'violation', /ring 1 came only 2502 ms after/);
  });

  it('leaves aside what was refused, what keeps the link up, and a peer that leaves meanwhile', () => {
    const bare = noLongerAtQuit(running).stretch(at, 3000);
    const command = { type: 'qmp.command', t: at, id: 3, execute: 'set_link' } as const;
    const off: Timed = { ...command, arguments: { name: 'n0', up: false } };
    const refused: Timed = { type: 'qmp.reply', t: at + 1, id: 3, execute: 'set_link', latency: 1, error: 'no n0' };
    const onlyQuit = /at quit/;
    expectBreak('R32', bare.plus(off, refused), 'violation', onlyQuit);
    expectBreak('R32', bare.plus({ ...command, arguments: { name: 'n0', up: true } }), 'violation', onlyQuit);
    const gone = running
      .only(({ t }) => t < at)
      .plus(reset, {
        ...running.find('session.close'),
        by: 'peer',
        how: 'close',
        t: at + 500,
      });
    expectNotApplicable('R32', gone);
  });

  it('breaks at quit when QEMU ends without asking', () => {
    const silent = noLongerAtQuit(running);
    expectBreak('R32', silent, 'violation', /GET_VRING_BASE of ring 0 came not at quit/);
    expectNotApplicable(
      'R32',
      silent.with('qemu.exit', ({ t }) => t === exit.t, { code: null, signal: 'SIGKILL' }),
    );
  });

  it('breaks when something comes for a stopped ring', () => {
    const call = message(at + 3, 'SET_VRING_CALL', { index: 1, noFd: false });
    expectBreak('R32', stopped.plus(call), 'violation', /SET_VRING_CALL .* came for ring 1, which was stopped/);
    expectBreak('R32', stopped.plus(...asks(at + 3, 0)), 'violation', /GET_VRING_BASE .* came for ring 0, which/);
  });

  it('holds when it is the restart, or the enable state', () => {
    const enable = message(at + 3, 'SET_VRING_ENABLE', { index: 1, num: 0 });
    const num = message(at + 4, 'SET_VRING_NUM', { index: 1, num: 256 });
    const call = message(at + 5, 'SET_VRING_CALL', { index: 1, noFd: false });
    expectHold('R32', stopped.plus(enable, num, call));
  });

  it('breaks when the status is reset before a ring was stopped', () => {
    const early = stopped.plus(message(at + 1.5, 'SET_STATUS', { value: '0x0' }));
    expectBreak('R32', early, 'violation', /SET_STATUS .* 0 came before GET_VRING_BASE of ring 1/);
    expectHold('R32', stopped.plus(message(at + 3, 'SET_STATUS', { value: '0x0' })));
    expectHold('R32', running.plus(message(quit.t + 0.05, 'SET_STATUS', { value: '0x0' })));
  });

  it('breaks when the status is not reset, or only when the rings start again', () => {
    const zero = (t: number) => message(t, 'SET_STATUS', { value: '0x0' });
    const long = stopped.stretch(at + 10, 3000);
    expectBreak('R32', long, 'violation', /^session 1: SET_STATUS 0 after the driver's reset took \d+ ms$/);
    expectHold('R32', long.plus(zero(at + 3)));
    const start: Timed = { ...running.find('ring.start', ({ ring }) => ring === 1), t: at + 5 };
    const asked = [0, 1].flatMap((index) => asks(quit.t + 0.2 + index / 10, index));
    const again = stopped.plus(message(at + 4, 'SET_VRING_NUM', { index: 1, num: 256 }), start, asked[3]!);
    expectBreak('R32', again, 'violation', /SET_STATUS 0 after the driver's reset did not come before ring 1 started/);
    expectBreak('R32', again.plus(zero(at + 6)), 'violation', /did not come before ring 1 started again/);
    expectHold('R32', again.plus(zero(at + 3)));
    const unacked = { body: { value: '0xcbf' } };
    expectHold(
      'R32',
      long.with('wire.recv', ({ name }) => name === 'SET_PROTOCOL_FEATURES', unacked),
    );
  });
});
