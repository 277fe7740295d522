import { describe, it } from 'vitest';
import { client, server } from './exchange.js';
import { expectBreak, expectHold, expectNotApplicable } from './judging.js';

const good = server();
const loss = good.find('session.close');
const down = good.find('driver.link', ({ up }) => !up);
const up = good.find('driver.link', (e) => e.up, -1);
const returned = good.find('session.open', ({ session }) => session === 2);

describe('R31 the guest sees the link', () => {
  it('holds', () => {
    expectHold('R31', good, /1 loss, 1 of them seen as link down/);
    expectHold('R31', client({ away: [200, 2000] }), /2 losses, 2 of them/);
  });

  it('leaves a handshake that went wrong to R18: the link it raised is explained', () => {
    const ownerless = good.without('wire.recv', ({ name, session }) => name === 'SET_OWNER' && session === 2);
    expectBreak('R18', ownerless, 'violation', /SET_OWNER|GET_FEATURES/);
    expectHold('R31', ownerless, /1 loss/);
  });

  it('holds when a short absence did not show', () => {
    const brief = server({ away: [5] });
    const unseen = brief.without('driver.link', ({ t }) => t > brief.find('session.close').t);
    expectHold('R31', unseen, /0 of them seen/);
  });

  it('breaks when the link stays up, or goes down late', () => {
    const blind = good.without('driver.link', ({ t }) => t > loss.t);
    expectBreak('R31', blind, 'violation', /link was still up 31\d\d ms after session 1 ended/);
    expectBreak(
      'R31',
      good.with('driver.link', (e) => e.t === down.t, { t: loss.t + 1400 }),
      'violation',
      /went down only 1400 ms after/,
    );
  });

  it('breaks when it does not come up again, or late', () => {
    const stays = good.without('driver.link', (e) => e.t === up.t).stretch(up.t + 1, 2500);
    expectBreak('R31', stays, 'violation', /still down \d+ ms after the rings of session 2 ran/);
    expectBreak('R31', good.stretch(up.t, 2500), 'violation', /came up only 250\d ms after/);
  });

  it('breaks when it never comes up, though nothing was lost', () => {
    const alone = server({ away: [] });
    const raised = alone.find('driver.link');
    const dead = alone.with('driver.link', () => true, { up: false }).stretch(raised.t + 1, 2500);
    expectBreak('R31', dead, 'violation', /still down \d+ ms after the rings of session 1 ran/);
    const late = dead.plus({ t: raised.t + 2200, type: 'driver.link', up: true });
    expectBreak('R31', late, 'violation', /came up only 220\d ms after the rings of session 1/);
  });

  it('breaks when it flaps, though nothing was lost', () => {
    const flap = server({ away: [] }).plus(
      { t: 200, type: 'driver.link', up: false },
      { t: 210, type: 'driver.link', up: true },
    );
    expectBreak('R31', flap, 'violation', /went down 1 time by 0 losses/);
  });

  it('does not take a link that is first looked at after the loss for one that was never raised', () => {
    const first = good.find('driver.link');
    const blind = good.without('driver.link', (e) => e.t === first.t).stretch(loss.t, 1500);
    expectNotApplicable(
      'R31',
      blind.only((e) => e.t < returned.t + 1500),
    );
  });

  it('breaks when it flaps', () => {
    const flap = good.plus(
      { t: down.t + 500, type: 'driver.link', up: true },
      { t: down.t + 510, type: 'driver.link', up: false },
    );
    expectBreak('R31', flap, 'violation', /went down 2 times by 1 loss/);
    const spurious = good.plus({ t: 200, type: 'driver.link', up: false }, { t: 210, type: 'driver.link', up: true });
    expectBreak('R31', spurious, 'violation', /went down 1 time by 0 losses/);
  });

  it('holds when the tester notices a close by QEMU after the guest did', () => {
    const late = good
      .with('session.close', ({ session }) => session === 1, { by: 'front-end', how: 'eof' })
      .with('driver.link', (e) => e.t === down.t, { t: loss.t - 5 });
    expectHold('R31', late);
  });

  it('says nothing without a driver, a loss, or when the link was set by command', () => {
    expectNotApplicable('R31', server({ driver: 'none' }));
    expectNotApplicable('R31', server({ away: [] }));
    const off = { t: 300, type: 'qmp.command', id: 1, execute: 'set_link', arguments: { up: false } } as const;
    const done = { t: 301, type: 'qmp.reply', id: 1, execute: 'set_link', latency: 1, value: {} } as const;
    expectHold('R31', good.plus(off, done), /up with running rings in 2 sessions/);
    expectNotApplicable('R31', server({ driver: 'none' }).plus(off));
    const stays = good.without('driver.link', (e) => e.t === up.t).stretch(up.t + 1, 2500);
    expectBreak('R31', stays.plus(off, done), 'violation', /still down \d+ ms after the rings of session 2 ran/);
    expectHold('R31', stays.plus(off));
  });

  it('breaks when the guest does not see that a command lowers the link', () => {
    const calm = server({ away: [] });
    const { t: at } = calm.find('proc.sample', () => true, -1);
    const off = { t: at + 5, type: 'qmp.command', id: 9, execute: 'set_link', arguments: { up: false } } as const;
    const done = { t: at + 6, type: 'qmp.reply', id: 9, execute: 'set_link', latency: 1, value: {} } as const;
    const on = { ...off, t: at + 500, id: 10, arguments: { up: true } } as const;
    const long = calm.stretch(at + 10, 3000);
    expectBreak('R31', long.plus(off, done), 'violation', /still up \d+ ms after set_link was to lower it/);
    expectHold('R31', long.plus(off, done, { t: at + 8, type: 'driver.link', up: false }));
    const slow = long.plus(off, done, { t: at + 2000, type: 'driver.link', up: false });
    expectBreak('R31', slow, 'violation', /went down only \d+ ms after set_link/);
    // The same of one that raises it: whoever is there.
    const down = { t: at + 8, type: 'driver.link', up: false } as const;
    const raised = { ...done, t: at + 501, id: 10 } as const;
    const last = long.plus(off, done, down, on, raised);
    expectBreak('R31', last, 'violation', /still down \d+ ms after set_link was to raise it/);
    expectHold('R31', last.plus({ t: at + 510, type: 'driver.link', up: true }));
    const tardy = last.plus({ t: at + 2900, type: 'driver.link', up: true });
    expectBreak('R31', tardy, 'violation', /came up only \d+ ms after set_link/);
    expectHold('R31', last.plus({ t: at + 510, type: 'driver.reset' }));
    // Another command, a refusal, and a second port, which may be the one that is meant.
    expectHold('R31', long.plus(off, done, on));
    expectHold('R31', long.plus(off, { ...done, error: 'no such netdev' }));
    expectHold('R31', long.plus(off, done, { t: at + 7, type: 'peer.other', port: '2', state: 'connected' }));
  });
});
