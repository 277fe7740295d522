import { describe, it } from 'vitest';
import { server } from './exchange.js';
import { expectBreak, expectHold, expectNotApplicable } from './judging.js';
import { command } from './removal-story.js';
import type { Story, Timed } from './timeline-builder.js';

const told = (t: number, what: 'CONNECTED' | 'DISCONNECTED'): Timed => ({
  type: 'qmp.event',
  t,
  event: `NETDEV_VHOST_USER_${what}`,
  data: { 'netdev-id': 'n0', ...(what === 'CONNECTED' ? { 'chardev-id': 'c0' } : {}) },
});

/** A run with its events: each loss, and each return when its rings run. */
function announced(story: Story): Story {
  const losses = story.events.filter((event) => event.type === 'session.close' && event.by === 'peer');
  const returns = story.events.filter((event) => event.type === 'driver.link' && event.up).slice(1);
  return story.plus(
    ...losses.map(({ t }) => told(t + 3, 'DISCONNECTED')),
    ...returns.map(({ t }) => told(t + 1, 'CONNECTED')),
  );
}

const bare = server({ version: '10.0.13', away: [200, 3100] });
const good = announced(bare);
const closes = [0, 1].map((nth) => bare.find('session.close', ({ by }) => by === 'peer', nth).t);
const is = (what: string) => (event: { event: string }) => event.event.endsWith(`_${what}`);
const [c1, c2] = [0, 1].map((nth) => good.find('qmp.event', is('CONNECTED'), nth).t);
const d2 = good.find('qmp.event', is('DISCONNECTED'), 1).t;
const reopened = bare.find('session.open', ({ session }) => session === 2).t;

describe('R34 management is told', () => {
  it('says nothing of an older QEMU, nor where there was nothing to tell', () => {
    expectNotApplicable('R34', server());
    expectNotApplicable('R34', server({ version: '10.0.13', away: [] }));
  });

  it('holds with one event each, in turns', () => expectHold('R34', good, /2 connections and 2 losses announced/));

  it('breaks when one names another netdev, or another chardev, than there is', () => {
    const argv = ['qemu-system-x86_64', '-netdev', 'vhost-user,id=n0,chardev=c0,queues=2'];
    const named = good.with('run.begin', () => true, { qemu: { version: '10.0.13', argv } });
    expectHold('R34', named);
    const saying = (t: number, data: Record<string, string>) => named.with('qmp.event', (e) => e.t === t, { data });
    const other = saying(c2!, { 'netdev-id': 'n0', 'chardev-id': 'n0' });
    expectBreak('R34', other, 'violation', /NETDEV_VHOST_USER_CONNECTED names netdev n0, chardev n0/);
    expectBreak('R34', saying(c2!, { 'netdev-id': 'n0' }), 'violation', /names netdev n0, chardev undefined/);
    expectBreak('R34', saying(d2, { 'netdev-id': 'c0' }), 'violation', /DISCONNECTED names netdev c0/);
    expectHold(
      'R34',
      saying(d2, { 'netdev-id': 'c0' }).with('run.begin', () => true, { joined: true }),
    );
  });

  it('breaks when one is missing', () => {
    expectBreak('R34', bare, 'violation', /CONNECTED did not come in \d+ ms after the (handshake|end) of session \d/);
    const unconnected = good.without('qmp.event', ({ t }) => t === c2).stretch(c2! + 1, 2000);
    expectBreak(
      'R34',
      unconnected,
      'violation',
      /NETDEV_VHOST_USER_CONNECTED did not come in \d+ ms after the handshake of session 3/,
    );
    const unlost = good.without('qmp.event', ({ t }) => t === d2);
    expectBreak('R34', unlost, 'violation', /NETDEV_VHOST_USER_CONNECTED came twice in a row/);
    const lastLost = good
      .without('qmp.event', ({ t }) => t >= d2)
      .only(({ t, type }) => t < d2 + 3000 && !(t > d2 && ['session.open', 'wire.recv', 'peer.dial'].includes(type)));
    expectBreak('R34', lastLost, 'violation', /DISCONNECTED did not come in \d+ ms after the end of session 2/);
  });

  it('breaks when one is late', () =>
    expectBreak(
      'R34',
      good.with('qmp.event', ({ t }) => t === d2, { t: closes[1]! + 1500 }),
      'violation',
      /DISCONNECTED came only 1500 ms after the end of session 2/,
    ));

  it('breaks when one comes twice, or in the wrong order', () => {
    expectBreak('R34', good.plus(told(c1! + 1, 'CONNECTED')), 'violation', /CONNECTED came twice in a row/);
    expectBreak('R34', good.plus(told(d2 + 1, 'DISCONNECTED')), 'violation', /DISCONNECTED came twice in a row/);
    const first = good.find('qmp.event', is('DISCONNECTED')).t;
    const swapped = good.with('qmp.event', ({ t }) => t === first, { t: c1! + 1 });
    expectBreak('R34', swapped, 'violation', /CONNECTED came twice in a row/);
  });

  it('breaks when a connection that ended in its handshake is announced', () => {
    const cut = bare
      .only(({ t }) => t < reopened + 0.3)
      .plus(
        told(closes[0]! + 3, 'DISCONNECTED'),
        { type: 'session.close', t: reopened + 0.5, session: 2, by: 'peer', how: 'close' },
        { type: 'run.end', t: reopened + 3000 },
      );
    expectHold('R34', cut, /0 connections and 1 loss/);
    const wrong = cut.plus(told(reopened + 1, 'CONNECTED'), told(reopened + 2, 'DISCONNECTED'));
    expectBreak('R34', wrong, 'violation', /CONNECTED came 1 time, with 0 complete handshakes/);
  });

  it('lets a connection that ended right after its handshake be announced or not', () => {
    const last = bare.events.findLast(
      (event) => event.type === 'wire.recv' && event.session === 2 && event.name === 'SET_VRING_ERR',
    )!;
    const cut = bare
      .only(({ t }) => t <= last.t)
      .plus(
        told(closes[0]! + 3, 'DISCONNECTED'),
        { type: 'session.close', t: last.t + 0.05, session: 2, by: 'peer', how: 'close' },
        { type: 'run.end', t: last.t + 3000 },
      );
    expectHold('R34', cut);
    expectHold('R34', cut.plus(told(last.t + 1, 'CONNECTED'), told(last.t + 2, 'DISCONNECTED')), /1 connection and 2/);
  });

  it('says nothing where a connection that may have ended the start-up was lost before the monitor was there', () => {
    const wrong = good.plus(told(c1! + 1, 'CONNECTED'));
    expectNotApplicable(
      'R34',
      wrong.with('qmp.ready', () => true, { t: closes[0]! + 1 }),
    );
  });

  it('expects no word of a netdev that was removed', () => {
    const removed = good
      .without('qmp.event', ({ t }) => t === d2)
      .plus(
        ...command(closes[1]! - 10, 1, 'netdev_del', 'n0', { takes: 11 }),
        ...command(closes[1]! + 10, 2, 'netdev_add', 'n0', { takes: 4000 }),
      );
    expectHold('R34', removed);
  });
});
