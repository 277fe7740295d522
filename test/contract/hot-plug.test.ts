import { describe, expect, it } from 'vitest';
import { client, INODE, PID, SOCKET, server } from './exchange.js';
import { expectBreak, expectHold, expectNotApplicable, judge } from './judging.js';
import { command, deleted } from './removal-story.js';
import type { Story } from './timeline-builder.js';

const stories = { server: server({ removal: true, away: [200] }), client: client({ removal: true, away: [200] }) };
const { server: listened, client: dialled } = stories;
const named = (name: string) => (event: { execute: string }) => event.execute === name;
const at = (story: Story, name: string) => story.find('qmp.command', named(name)).t;
const answer = (story: Story, name: string) => story.find('qmp.reply', named(name)).t;
const isLast = (event: { by: string }) => event.by === 'front-end';

describe('R41 a netdev that is removed lets go', () => {
  it('says nothing where none was, or QEMU refused', () => {
    expectNotApplicable('R41', server());
    const refused = server().plus(...command(900, 1, 'netdev_del', 'n0', { error: 'is a netdev for vhostuser' }));
    expectNotApplicable('R41', refused);
  });

  it.each(Object.entries(stories))('holds where all goes and comes (%s)', (_, story) =>
    expectHold('R41', story, /1 netdev removed, 1 added again/),
  );

  it.each(Object.entries(stories))('breaks where the connection stands (%s)', (_, story) => {
    const t = answer(story, 'netdev_del');
    const stands = story.with('session.close', isLast, ({ t: closed }) => (closed < t + 1 ? { t: t + 1100 } : {}));
    expectBreak('R41', stands, 'violation', /session 2 stood for 1100 ms after its netdev was removed/);
  });

  it('lets the connection stand as long as a device uses the netdev', () => {
    const t = answer(listened, 'netdev_del');
    const used = listened
      .without('qmp.event')
      .with('session.close', isLast, (close) => (close.t < t + 1 ? { t: t + 1500 } : {}));
    expectHold('R41', used);
    expectHold('R41', used.plus(...deleted(t + 1450)));
    expectBreak('R41', used.plus(...deleted(t + 100)), 'violation', /session 2 stood for 1400 ms/);
  });

  it('breaks where the socket stays', () =>
    expectBreak(
      'R41',
      listened.without('socket.path', ({ inode }) => inode === undefined),
      'violation',
      /socket path is still there 1\d\d\d ms after/,
    ));

  it('breaks where QEMU dials without a netdev, other than on a dial that was under way', () => {
    const t = answer(dialled, 'netdev_del');
    const dial = (after: number) =>
      dialled.plus(
        { type: 'session.open', t: t + after, session: 9, by: 'accept', pid: PID },
        { type: 'session.close', t: t + after + 1, session: 9, by: 'front-end', how: 'eof' },
      );
    expectBreak('R41', dial(1000), 'violation', /dialled 1000 ms after the netdev was removed/);
    expectHold('R41', dial(100));
  });

  it('breaks where the command that adds a netdev is not done with the handshake', () => {
    const t = answer(listened, 'netdev_add');
    const late = listened.stretch(t, 1500);
    expectBreak('R41', late, 'hang', /netdev_add was answered only 150\d ms after the handshake of session 3/);
    const never = late.without('qmp.reply', named('netdev_add'));
    expectBreak('R41', never, 'hang', /netdev_add was not answered \d+ ms after/);
  });
});

describe('a removal', () => {
  const del = at(listened, 'netdev_del');

  it('excuses refused dials, from netdev_del to the answer to chardev-add', () => {
    const refused = (t: number) =>
      listened.plus({ type: 'peer.dial-failed', t, path: SOCKET, session: 3, code: 'ENOENT' });
    expectHold('R7', refused(del + 500));
    expectHold('R7', refused(answer(listened, 'chardev-add')));
    expectBreak('R7', refused(del - 10), 'violation', /failed with ENOENT/);
    expectBreak('R7', refused(answer(listened, 'chardev-add') + 10), 'violation', /failed with ENOENT/);
  });

  it('excuses that a peer waits for a netdev, and not that the netdev does not serve it', () => {
    const waits = (at: number, by: number) =>
      listened.stretch(at, by).with(
        'session.open',
        ({ session }) => session === 3,
        ({ t }) => ({ t: t - by }),
      );
    expectHold('R7', waits(at(listened, 'netdev_add'), 3000));
    const unserved = waits(at(listened, 'netdev_add') + 50, 3000);
    expectBreak('R7', unserved, 'violation', /session 3 got its first message after/);
  });

  it('excuses that the path goes, and that another comes, once', () => {
    expectHold('R9', listened, /inode 77, then 78/);
    const t = answer(listened, 'chardev-add');
    expectBreak('R9', listened.plus({ type: 'socket.path', t: t + 50, inode: INODE }), 'violation', /from 78 to 77/);
    expectBreak('R9', listened.plus({ type: 'socket.path', t: t + 50 }), 'violation', /vanished/);
    expectBreak('R9', listened.plus({ type: 'socket.path', t: del - 5 }), 'violation', /vanished/);
  });

  it('excuses that nobody dials, until the chardev is added', () => {
    expectHold('R12', dialled);
    const late = dialled.stretch(at(dialled, 'netdev_add') + 1, 1600);
    expectBreak('R12', late, 'violation', /redialled only after \d+ ms of listening after session 2 ended/);
  });

  it('excuses a monitor that waits for the peer of the netdev that it adds, and no other', () => {
    const silent = (begin: number, end: number) =>
      dialled
        .without('qmp.heartbeat', ({ sent }) => sent > begin && sent < end)
        .plus({ type: 'qmp.heartbeat', t: end, sent: begin, latency: end - begin, status: 'running' });
    const plug = at(dialled, 'netdev_add');
    const blocked = dialled.stretch(plug + 1, 4000);
    const waits = blocked
      .without('qmp.heartbeat', ({ sent }) => sent >= plug && sent < plug + 4000)
      .plus({ type: 'qmp.heartbeat', t: plug + 4050, sent: plug + 1, latency: 4049, status: 'running' });
    expectHold('R2', waits);
    const t = answer(dialled, 'netdev_del');
    expectBreak('R2', silent(t + 10, t + 1400), 'hang', /QMP was silent for 13\d\d ms/);
  });

  it('begins another life of which management is told', () => {
    const told = (t: number, what: string, data = {}) =>
      ({ type: 'qmp.event', t, event: `NETDEV_VHOST_USER_${what}`, data }) as const;
    const plain = server({ removal: true, away: [200], version: '10.0.13' });
    const first = plain.find('session.close', ({ by }) => by === 'peer').t;
    const opened = plain.find('session.open', ({ session }) => session === 2).t;
    const once = plain.plus(told(first + 3, 'DISCONNECTED'), told(opened + 20, 'CONNECTED'));
    expectBreak('R34', once, 'violation', /CONNECTED did not come in \d+ ms after the handshake of session 3/);
    const again = once.plus(told(answer(plain, 'netdev_add'), 'CONNECTED'));
    expectHold('R34', again, /2 connections and 1 loss announced/);
    const twice = again.plus(told(answer(plain, 'netdev_add') + 1, 'CONNECTED'));
    expectBreak('R34', twice, 'violation', /CONNECTED came twice in a row/);
    expectHold('R34', again.plus(told(at(plain, 'netdev_del') + 1, 'DISCONNECTED')));
  });

  it('takes the link with it', () => {
    const t = at(listened, 'netdev_del');
    const seen = (when: number) =>
      listened.plus({ type: 'driver.link', t: when, up: false }, { type: 'driver.link', t: when + 1, up: true });
    expect(judge('R31', seen(t - 400)).seen).toMatch(/went down 2 times by 1 loss/);
    const lowered = listened.plus({ type: 'driver.link', t: t + 1, up: false });
    expectHold('R31', lowered);
  });
});

describe('R18 in a netdev that is being added', () => {
  it.each(['server', 'client'] as const)('breaks when the handshake stands still without the peer (%s)', (role) => {
    const story = stories[role];
    const asked = at(story, 'netdev_add');
    const word = story.find('wire.recv', ({ t, name }) => t > asked && name === 'SET_PROTOCOL_FEATURES');
    const still = story.stretch(word.t - 0.05, 8000);
    expectBreak('R18', still, 'hang', new RegExp(`session ${word.session}`));
  });
});
