import { describe, it } from 'vitest';
import { client, server } from './exchange.js';
import { expectBreak, expectHold, expectNotApplicable } from './judging.js';
import type { Story, Timed } from './timeline-builder.js';

const restart = server();
const loss = restart.find('session.close').t;
/** While the back-end is away, as everything of the client is. */
const came = loss + 500;
const told = came + 1000;

const ask = (t: number, id: number, execute: string, number = 1): Timed[] => [
  { type: 'monitor.command', t, client: number, id, execute },
  { type: 'monitor.reply', t: t + 1, client: number, id },
];

/** What both monitors are told, the second one a little later. */
const event = (t: number, name: string, number = 1): Timed[] => [
  { type: 'qmp.event', t, event: name, data: {} },
  { type: 'monitor.event', t: t + 0.2, client: number, event: name, data: {} },
];

/** A client that hears of two events, and leaves. */
const visit = (from = came, number = 1): Timed[] => [
  { type: 'monitor.open', t: from, client: number },
  ...ask(from + 1, 0, 'qmp_capabilities', number),
  ...event(from + 1000, 'POWERDOWN', number),
  ...event(from + 1001, 'STOP', number),
  ...ask(from + 1200, 1, 'query-status', number),
  { type: 'monitor.close', t: from + 1300, client: number, by: 'client' },
];

const good = restart.plus(...visit());
const named =
  (name: string) =>
  ({ event: own }: { event: string }): boolean =>
    own === name;
const asked =
  (id: number) =>
  ({ id: own }: { id: number }): boolean =>
    own === id;
/** Without what was asked and told after the client had negotiated. */
const only = (story: Story, id: number): Story =>
  story.without('monitor.command', asked(id)).without('monitor.reply', asked(id));

describe('R42 a second monitor is served', () => {
  it('says nothing where nobody came', () => expectNotApplicable('R42', restart));

  it('holds where a client is answered and told all', () =>
    expectHold('R42', good, /1 client, 2 answers, 2 events of both/));

  it('holds in either role, and for one client after the other', () => {
    const first = client().find('session.close').t + 100;
    const twice = client().plus(...visit(first, 1), ...visit(first + 1400, 2));
    expectHold('R42', twice, /2 clients, 4 answers, 4 events of both/);
  });

  it('says nothing of a client that left before it had an answer', () => {
    const hasty = good.without('monitor.reply').without('monitor.event');
    expectNotApplicable(
      'R42',
      hasty.with('monitor.close', () => true, { t: came + 5 }),
    );
  });

  describe('answers', () => {
    it.each([0, 1])('break where one never comes (command %d)', (id) =>
      expectBreak(
        'R42',
        good.without('monitor.reply', asked(id)).with('monitor.close', () => true, { t: told + 1500 }),
        'hang',
        id === 0 ? /silent for 2499 ms after qmp_capabilities/ : /silent for 1300 ms after query-status/,
      ),
    );

    it('break where one comes late', () => {
      const late = good
        .with('monitor.reply', asked(1), ({ t }) => ({ t: t + 1200 }))
        .with('monitor.close', () => true, { t: told + 1500 });
      expectBreak('R42', late, 'hang', /silent for 1201 ms after query-status/);
    });

    it('may take as long as a peer keeps QEMU waiting', () => {
      const from = restart.find('wire.recv', ({ session }) => session === 2).t;
      const held = restart
        .stretch(from + 0.05, 2000)
        .plus(
          { type: 'monitor.open', t: from + 0.01, client: 1 },
          { type: 'monitor.command', t: from + 0.01, client: 1, id: 0, execute: 'qmp_capabilities' },
          { type: 'monitor.reply', t: from + 2010, client: 1, id: 0 },
        );
      expectHold('R42', held, /1 client, 1 answer, 0 events/);
    });

    it('break where one is an error', () =>
      expectBreak(
        'R42',
        good.with('monitor.reply', asked(1), { error: '{"class":"CommandNotFound"}' }),
        'violation',
        /query-status failed at the second monitor: .*CommandNotFound/,
      ));

    it('are not due after quit, nor after the client left', () => {
      const quit = restart.find('qmp.command', ({ execute }) => execute === 'quit').t;
      const open: Timed[] = [{ type: 'monitor.open', t: came, client: 1 }, ...ask(came + 1, 0, 'qmp_capabilities')];
      const last: Timed = { type: 'monitor.command', t: quit - 500, client: 1, id: 1, execute: 'query-status' };
      expectHold('R42', restart.stretch(quit + 0.5, 3000).plus(...open, last));
      const left: Timed = { type: 'monitor.close', t: came + 900, client: 1, by: 'client', half: true };
      expectHold('R42', restart.plus(...open, { ...last, t: came + 10 }, left));
    });
  });

  describe('a connection', () => {
    it('breaks where QEMU ends it', () =>
      expectBreak(
        'R42',
        good.with('monitor.close', () => true, { by: 'front-end' }),
        'violation',
        /QEMU ended the connection/,
      ));

    it('may end with QEMU', () => {
      const { t } = restart.find('qemu.exit');
      expectHold(
        'R42',
        good.with('monitor.close', () => true, { by: 'front-end', t: t - 1 }),
      );
    });
  });

  describe('events', () => {
    it.each(['POWERDOWN', 'STOP'])('break where one is missed (%s)', (name) =>
      expectBreak('R42', good.without('monitor.event', named(name)), 'violation', new RegExp(`not told of ${name}`)),
    );

    it('break where they come in another order', () =>
      expectBreak('R42', good.with('monitor.event', named('STOP'), { t: told - 1 }), 'violation', /not told of STOP/));

    it('break where one says something else', () =>
      expectBreak(
        'R42',
        good.with('monitor.event', named('STOP'), { data: { guest: true } }),
        'violation',
        /not told of STOP/,
      ));

    it('are not due before the client had negotiated, nor after its last answer', () => {
      expectHold('R42', good.plus({ type: 'qmp.event', t: came - 1, event: 'RESET', data: {} }), /2 events/);
      expectHold('R42', good.plus({ type: 'qmp.event', t: came + 1.5, event: 'RESET', data: {} }), /2 events/);
      expectHold('R42', good.plus({ type: 'qmp.event', t: told + 250, event: 'RESET', data: {} }), /2 events/);
      expectHold('R42', only(good, 1).without('monitor.event'), /1 answer, 0 events/);
    });
  });
});
