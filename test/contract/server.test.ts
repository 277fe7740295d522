import { describe, it } from 'vitest';
import { client, INODE, PID, SOCKET, server } from './exchange.js';
import { expectBreak, expectHold, expectNotApplicable } from './judging.js';
import type { Story } from './timeline-builder.js';

const good = server();
const loss = good.find('session.close');
const returned = good.find('session.open', ({ session }) => session === 2);
const firstMessage = good.find('wire.recv', ({ session }) => session === 2);

/** The second session's connection already waits in the backlog when the first ends. */
const overtaking: Story = server({ away: [3] })
  .without('peer.dial', ({ session }) => session === 2)
  .with('session.open', ({ session }) => session === 2, { t: 600 });

describe('R6 one connection at a time', () => {
  const main = overtaking.find('session.close');

  it('holds when the second waits until the first ends', () =>
    expectHold('R6', overtaking, /1 connection waited, 1 of them served/));

  it('breaks when the second gets a message before that', () => {
    const early = overtaking.with('wire.recv', ({ session, index }) => session === 2 && index === 0, {
      t: main.t - 10,
    });
    expectBreak('R6', early, 'violation', /session 2 was served while session 1 was open/);
  });

  it('breaks when its turn is forgotten', () => {
    const forgotten = overtaking.only((e) => !('session' in e) || e.session !== 2 || e.type.startsWith('session'));
    const ended = forgotten.stretch(main.t + 1, 2000);
    expectBreak('R6', ended, 'hang', /session 2 got no message in \d+ ms/);
    expectBreak('R6', overtaking.stretch(main.t + 0.01, 1500), 'violation', /first message after 150\d ms/);
  });

  it('holds when QEMU closed the first and the tester read that a little late', () => {
    const late = overtaking
      .with('session.close', ({ session }) => session === 1, { by: 'front-end', how: 'eof', t: main.t + 20 })
      .with('wire.recv', ({ session, index }) => session === 2 && index === 0, { t: main.t + 10 });
    expectHold('R6', late);
  });

  it('breaks when QEMU drops the second instead of serving it', () => {
    const unserved = overtaking.only((e) => !('session' in e) || e.session !== 2 || e.type === 'session.open');
    const drop = (t: number) => unserved.plus({ t, type: 'session.close', session: 2, by: 'front-end', how: 'reset' });
    expectBreak('R6', drop(main.t + 5), 'violation', /closed session 2 without a message/);
    expectBreak('R6', drop(main.t - 5), 'violation', /closed session 2 without a message/);
  });

  it('holds when a waiting client leaves unserved', () => {
    const visitor: Story = good.plus(
      { t: 300, type: 'session.open', session: 9, by: 'dial', pid: PID, extra: true },
      { t: 400, type: 'session.close', session: 9, by: 'peer', how: 'close', extra: true },
    );
    expectHold('R6', visitor, /0 of them served/);
  });

  it('says nothing without a second client, or for a client', () => {
    expectNotApplicable('R6', good);
    expectNotApplicable('R6', client());
  });
});

describe('a shortage of descriptors', () => {
  const lost = server({ away: [100] });
  const returned = lost.find('session.open', ({ session }) => session === 2);
  const late = lost.stretch(returned.t + 0.05, 3000);
  const short = (to: number) =>
    late.plus(
      { t: returned.t - 50, type: 'qemu.descriptors', spare: 0, limit: 20 },
      { t: to, type: 'qemu.descriptors', limit: 1024 },
    );
  it('excuses a listener for as long as it lasts', () => {
    expectBreak('R7', late, 'violation', /session 2 got its first message after 3\d\d\d ms/);
    expectHold('R7', short(returned.t + 2900));
    expectBreak('R7', short(returned.t + 1000), 'violation', /session 2 got its first message after 2\d\d\d ms/);
  });
});

describe('R7 the listener is back at once', () => {
  it('holds when the first peer and returns are served', () => {
    expectHold('R7', good, /first peer and 1 return, first message after at most 0.1 ms/);
    expectHold('R7', server({ away: [] }), /first peer and 0 returns/);
  });

  it('breaks when the first peer is served late, not at all, or dropped, though nothing was lost', () => {
    const alone = server({ away: [] });
    const open = alone.find('session.open');
    const first = alone.find('wire.recv');
    expectHold('R7', alone.stretch(first.t, 4500));
    expectBreak('R7', alone.stretch(first.t, 5500), 'violation', /session 1 got its first message after 5500 ms/);
    const deaf = alone.only((e) => e.t <= open.t).plus({ t: open.t + 8000, type: 'run.end' });
    expectBreak('R7', deaf, 'hang', /session 1 got no message in 8000 ms/);
    const slow = deaf.plus(
      { t: open.t, type: 'pace', lag: 0, delay: 0 },
      { t: open.t + 8000, type: 'pace', lag: 0, delay: 4000 },
    );
    expectHold('R7', slow);
    const dropped = deaf.plus({ t: open.t + 5, type: 'session.close', session: 1, by: 'front-end', how: 'eof' });
    expectBreak('R7', dropped, 'violation', /closed session 1 without a message/);
  });

  it('breaks when the dial is refused after the loss', () => {
    const refused = good.plus({
      t: loss.t + 50,
      type: 'peer.dial-failed',
      path: SOCKET,
      session: 2,
      code: 'ECONNREFUSED',
    });
    expectBreak('R7', refused, 'violation', /a dial 50 ms after the first loss failed with ECONNREFUSED/);
  });

  it('holds when a dial fails while QEMU starts, finds the backlog full, or meets the decoy', () => {
    const fail = (t: number, code: string) =>
      ({ t, type: 'peer.dial-failed', path: SOCKET, session: 1, code }) as const;
    expectHold('R7', good.plus(fail(1, 'ENOENT')));
    expectHold('R7', good.plus(fail(loss.t + 50, 'EAGAIN')));
    const decoy = good.plus(
      { t: loss.t + 10, type: 'peer.listen', path: SOCKET, decoy: true },
      fail(loss.t + 50, 'ECONNREFUSED'),
      { t: loss.t + 60, type: 'peer.unlisten', path: SOCKET, removed: true, decoy: true },
    );
    expectHold('R7', decoy);
  });

  it('breaks when the return is served late or not at all', () => {
    expectBreak('R7', good.stretch(firstMessage.t, 1200), 'violation', /session 2 got its first message after 1200 ms/);
    const deaf = good.only((e) => !(e.type === 'wire.recv' && e.session === 2)).stretch(returned.t + 1, 2000);
    expectBreak('R7', deaf, 'hang', /session 2 got no message/);
  });

  it('breaks when QEMU drops the return without a word', () => {
    const dropped = good
      .only((e) => e.t <= returned.t || !('session' in e) || e.session !== 2)
      .plus({ t: returned.t + 5, type: 'session.close', session: 2, by: 'front-end', how: 'eof' });
    expectBreak('R7', dropped, 'violation', /closed session 2 without a message/);
  });

  it('says nothing without a connection, or for a client', () => {
    expectNotApplicable(
      'R7',
      good.only((e) => e.t < 10),
    );
    expectNotApplicable('R7', client());
  });
});

describe('R8 a listening QEMU never dials', () => {
  it('holds when it does not', () => expectHold('R8', good, /longest time without a peer was 31\d\d ms/));

  /** A connection that nothing explains, seen at every look for so long. */
  const standing = (forMs: number): Story => {
    const since = loss.t + 1500;
    const looks = Array.from({ length: Math.floor(forMs / 100) + 1 }, (_, i) => since + 100 * i);
    return good.plus(...looks.map((t) => ({ t, type: 'self-dial' as const, inodes: [5], since })));
  };

  it('holds while a connection of ours that QEMU accepted too late stands, also on a slow machine', () => {
    expectHold('R8', standing(900));
    const slow = standing(1300).plus(
      { t: loss.t + 1500, type: 'pace', lag: 0, delay: 0 },
      { t: loss.t + 2800, type: 'pace', lag: 200, delay: 200 },
    );
    expectHold('R8', slow);
  });

  it('breaks when it dials itself or the decoy', () => {
    expectBreak('R8', standing(1000), 'violation', /its own socket 1500 ms after session 1/);
    expectBreak(
      'R8',
      good.plus({ t: loss.t + 3000, type: 'decoy.accept', pid: PID }),
      'violation',
      /in place of its own/,
    );
  });

  it('does not take somebody else at the decoy for QEMU', () =>
    expectHold('R8', good.plus({ t: loss.t + 100, type: 'decoy.accept', pid: 1 })));

  it('says nothing for a client, or without a connection', () => {
    expectNotApplicable('R8', client());
    expectNotApplicable(
      'R8',
      good.only((e) => e.t < 10),
    );
  });
});

describe('R9 the socket path stays', () => {
  it('holds with one inode', () => expectHold('R9', good, new RegExp(`inode ${INODE} for`)));

  it('breaks when the inode changes or the path vanishes', () => {
    expectBreak('R9', good.plus({ t: loss.t + 10, type: 'socket.path', inode: 78 }), 'violation', /from 77 to 78/);
    expectBreak('R9', good.plus({ t: loss.t + 10, type: 'socket.path' }), 'violation', /vanished/);
    const open = good.with('socket.path', () => true, { mode: 0o755 });
    const narrowed = open.plus({ t: loss.t + 10, type: 'socket.path', inode: INODE, mode: 0o400 });
    expectBreak('R9', narrowed, 'violation', /mode changed from 0755 to 0400/);
    expectHold(
      'R9',
      narrowed.with('run.begin', () => true, { joined: true }),
    );
  });

  it('breaks when the path is not the same right before or after a decoy, while which nobody looks', () => {
    const decoy = good.plus(
      { t: loss.t + 100, type: 'peer.listen', path: SOCKET, decoy: true },
      { t: loss.t + 500, type: 'peer.unlisten', path: SOCKET, removed: true, decoy: true },
    );
    expectHold('R9', decoy);
    for (const t of [loss.t + 90, loss.t + 510]) {
      const other = decoy.plus({ t, type: 'socket.path', inode: 99 });
      expectBreak('R9', other.plus({ t: t + 5, type: 'socket.path', inode: INODE }), 'violation', /from 77 to 99/);
    }
  });

  it('does not mind that the path goes when QEMU quits', () => {
    const quit = good.find('qmp.command');
    expectHold('R9', good.plus({ t: quit.t + 1, type: 'socket.path' }));
  });

  it('says nothing when the path was never seen', () => {
    expectNotApplicable('R9', good.without('socket.path'));
    expectNotApplicable('R9', client());
  });
});
