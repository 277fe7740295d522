import { describe, expect, it } from 'vitest';
import { judgeAll } from '../../src/contract/index.js';
import type { MigrationEnd, MigrationRings, MigrationWritten } from '../../src/timeline/index.js';
import { bit, type FrontEndName, specByName, VHOST_F_LOG_ALL } from '../../src/wire/index.js';
import { FORWARDED, hex, server } from './exchange.js';
import { ringAt } from './exchange-script.js';
import { expectBreak, expectHold, expectNotApplicable } from './judging.js';
import type { Story, Timed } from './timeline-builder.js';

const quiet = server({ away: [] });
const { t: before } = quiet.find('proc.sample', () => true, -1);
/** When the migration begins, in ten seconds in which nothing else happens. */
const T = before + 10;
const calm = quiet.stretch(T, 20_000);
const LOG = hex(FORWARDED | bit(VHOST_F_LOG_ALL));

let index = 1000;
const recv = (t: number, name: FrontEndName, body: object): Timed => ({
  type: 'wire.recv',
  session: 1,
  index: index++,
  request: specByName(name).id,
  name,
  flags: 1,
  size: 8,
  body: body as never,
  fds: 0,
  t,
});
const reply = (t: number, name: FrontEndName, body: object): Timed => ({
  type: 'wire.send',
  session: 1,
  channel: 'reply',
  request: specByName(name).id,
  name,
  flags: 5,
  size: 8,
  body: body as never,
  fds: 0,
  t,
});
const logBase = (t: number, size = '0x800'): Timed[] => [
  recv(t, 'SET_LOG_BASE', { size, offset: '0x0' }),
  reply(t, 'SET_LOG_BASE', { value: '0x0' }),
];
const addresses = (t: number, flags: number, log = (ring: number): string => ringAt(ring).used): Timed[] =>
  [0, 1].map((ring) => {
    const { body } = quiet.find('wire.recv', ({ name }) => name === 'SET_VRING_ADDR', ring);
    return recv(t, 'SET_VRING_ADDR', { ...(body as object), flags, log: log(ring) });
  });
const beat = (t: number, status: string): Timed => ({
  type: 'qmp.heartbeat',
  sent: t,
  latency: 0.5,
  status,
  t: t + 0.5,
});
const command = (t: number, execute: string): Timed => ({ type: 'qmp.command', id: 99, execute, t });
const status = (t: number, word: string): Timed => ({ type: 'migration.status', migration: 1, status: word, t });
const end = (t: number, word: MigrationEnd['status'], reason?: string): Timed => ({
  type: 'migration.end',
  migration: 1,
  status: word,
  ...(reason === undefined ? {} : { reason }),
  t,
});
const written = (t: number, more: Partial<MigrationWritten> = {}): Timed => ({
  type: 'migration.written',
  migration: 1,
  pages: 4,
  again: 3,
  stale: [],
  ...more,
  t,
});

const begun = calm.plus(beat(T - 1, 'running'), { type: 'migration.begin', migration: 1, hold: 'copied', t: T });
const logged = begun.plus(
  ...logBase(T + 1),
  recv(T + 1, 'SET_FEATURES', { value: LOG }),
  ...addresses(T + 1, 1),
  status(T + 2, 'active'),
  { type: 'migration.hold', migration: 1, t: T + 50 },
);
const released = logged.plus({ type: 'migration.release', migration: 1, t: T + 100 });
const off = (t: number): Timed[] => [recv(t, 'SET_FEATURES', { value: hex(FORWARDED) }), ...addresses(t, 0)];
const stream = (t: number, by: 'source' | 'destination'): Timed => ({
  type: 'migration.stream',
  migration: 1,
  by,
  bytes: 1,
  pages: 1,
  repeated: 0,
  complete: by === 'source',
  t,
});
const failed = released.plus(stream(T + 110, 'destination'), ...off(T + 115), end(T + 120, 'failed', 'Broken pipe'));
const cancelled = released.plus(command(T + 105, 'migrate_cancel'), ...off(T + 110), end(T + 120, 'cancelled'));
/** The rings are stopped before the switch-over. */
const completed = released.plus(
  ...[0, 1].flatMap((ring): Timed[] => [
    recv(T + 110, 'GET_VRING_BASE', { index: ring }),
    { type: 'ring.stop', session: 1, ring, base: 0, t: T + 110 },
  ]),
  status(T + 115, 'completed'),
  written(T + 118),
  end(T + 120, 'completed'),
);

/** Where the stream has the rings, after what the peer said of them in the end. */
const migrated = (answer: number | undefined, ...rings: MigrationRings['rings']): Story =>
  completed.plus(
    ...rings.flatMap(({ index }): Timed[] =>
      answer === undefined ? [] : [reply(T + 111, 'GET_VRING_BASE', { index, num: answer })],
    ),
    { type: 'migration.rings', migration: 1, rings, t: T + 119 },
  );

const broken = (story: Story): string[] =>
  judgeAll(story.timeline())
    .filter(({ judgement }) => judgement.outcome === 'break')
    .map(({ requirement }) => requirement);

describe('R35 a migration ends, and QEMU lives', () => {
  it('says nothing without a migration, or without its end', () => {
    expectNotApplicable('R35', calm);
    expectNotApplicable(
      'R35',
      begun.only(({ t }) => t < T + 100),
    );
  });

  it('holds when it fails or is cancelled and the machine runs on', () => {
    expectHold('R35', failed.plus(beat(T + 1000, 'running')), /failed \(Broken pipe\)/);
    expectHold('R35', cancelled.plus(beat(T + 1000, 'running')), /cancelled/);
    expect(broken(cancelled.plus(beat(T + 1000, 'running')))).toEqual([]);
  });

  it('holds when it completes and the machine is of the past', () =>
    expectHold('R35', completed.plus(beat(T + 1000, 'postmigrate'), command(T + 1001, 'cont')), /completed/));

  it('breaks when QEMU dies in it', () => expectBreak('R35', logged.crash(T + 60), 'crash', /ended with QEMU itself/));

  it('breaks when it does not end, less what the destination holds it up', () => {
    expectBreak('R35', released, 'hang', /migration 1 was still active after \d+ ms/);
    const held = logged.plus({ type: 'migration.release', migration: 1, t: T + 15_000 });
    expectHold('R35', held.plus(stream(T + 15_100, 'destination'), end(T + 15_200, 'failed', 'Broken pipe')));
    expectBreak('R35', released.plus(end(T + 9000, 'cancelled')), 'hang', /ended only after/);
  });

  it('breaks when it fails for nothing that is known', () => {
    expectBreak('R35', released.plus(end(T + 120, 'failed')), 'violation', /failed without a reason/);
    const there = released.plus(stream(T + 110, 'source'), end(T + 120, 'failed', 'no mood'));
    expectBreak('R35', there, 'violation', /failed although its back-end was there: no mood/);
  });

  it('breaks when it completes with a back-end that cannot log, which may have it refused', () => {
    const blind = (story: Story) =>
      story.with('wire.send', ({ name }) => name === 'GET_PROTOCOL_FEATURES', { body: { value: '0x0' } });
    expectBreak('R35', blind(completed), 'violation', /completed with session 1, whose back-end cannot log/);
    const refused = calm.plus(
      { type: 'migration.begin', migration: 1, t: T },
      end(T + 1, 'refused', 'Migration disabled: vhost-user backend lacks VHOST_USER_PROTOCOL_F_LOG_SHMFD feature.'),
    );
    expectBreak('R35', refused, 'violation', /refused although its back-end was there/);
    expectHold('R35', blind(refused));
    const unlogging = ({ name }: { name: string }) => name === 'GET_FEATURES';
    expectHold('R35', refused.with('wire.send', unlogging, { body: { value: '0x40000000' } }));
  });

  it('breaks when the machine is left in another state', () => {
    const stopped = failed.plus(beat(T + 1000, 'finish-migrate'));
    expectBreak('R35', stopped, 'violation', /failed, and \d+ ms later the machine is finish-migrate, not running/);
    expectBreak('R35', completed.plus(beat(T + 1000, 'running')), 'violation', /is running, not postmigrate/);
    expectHold('R35', failed.plus(beat(T + 200, 'finish-migrate'), command(T + 201, 'cont')));
    expectHold('R35', completed.plus(command(T + 900, 'cont'), beat(T + 1000, 'running')));
  });
});

describe('R3 leaves the run state to R35 while QEMU migrates', () => {
  const lost = server();
  const { t: loss } = lost.find('session.close');
  const paused = lost.with('qmp.heartbeat', ({ t }) => t > loss + 500, { status: 'postmigrate' });

  it('and only then', () => {
    const begin: Timed = { type: 'migration.begin', migration: 1, t: loss + 100 };
    expectBreak('R3', paused, 'violation', /from running to postmigrate/);
    expectHold('R3', paused.plus(begin, end(loss + 700, 'completed')));
    expectBreak('R3', paused.plus(begin, end(loss + 110, 'failed', 'x')), 'violation', /from running to postmigrate/);
  });
});

describe('R39 writes are logged while QEMU migrates', () => {
  it('says nothing without a log', () => expectNotApplicable('R39', calm));

  it('holds with one log, rings flagged, and off again', () => {
    expectHold('R39', cancelled, /1 log in 1 migration of 1 queue pair/);
    expectHold('R39', completed);
  });

  it('breaks when the log comes twice, unless it is another or another start', () => {
    expectBreak('R39', cancelled.plus(...logBase(T + 20)), 'violation', /is the same log as message/);
    expectHold('R39', cancelled.plus(...logBase(T + 20, '0x1000')));
    expectHold('R39', completed.plus(...logBase(T + 111)));
  });

  it('breaks when the log is too short for the memory', () => {
    const half = cancelled.with('wire.recv', ({ name }) => name === 'SET_LOG_BASE', {
      body: { size: '0x400', offset: '0x0' },
    });
    expectBreak(
      'R39',
      half,
      'violation',
      /the log of 1024 bytes .* is for memory up to 0x2000000, the guest's ends at/,
    );
  });

  it('breaks when something logs without a migration', () => {
    expectBreak('R39', calm.plus(...logBase(T)), 'violation', /SET_LOG_BASE .* logs although nothing is migrated/);
    const later = cancelled.plus(recv(T + 1000, 'SET_FEATURES', { value: LOG }));
    expectBreak('R39', later, 'violation', /SET_FEATURES .* logs although/);
    expectBreak('R39', cancelled.plus(...addresses(T + 1000, 1)), 'violation', /SET_VRING_ADDR .* logs although/);
  });

  it('breaks when a ring is logged elsewhere', () => {
    const elsewhere = cancelled.plus(...addresses(T + 2, 1, () => '0x1000'));
    expectBreak('R39', elsewhere, 'violation', /ring 0 is to be logged at 0x1000/);
  });

  it('breaks when running rings are not logged', () => {
    const missing = (test: (name: string) => boolean) =>
      cancelled.without('wire.recv', (e) => e.t === T + 1 && test(e.name));
    expectBreak(
      'R39',
      missing((name) => name === 'SET_LOG_BASE'),
      'violation',
      /without a log$/,
    );
    expectBreak(
      'R39',
      missing((name) => name === 'SET_FEATURES'),
      'violation',
      /without VHOST_F_LOG_ALL/,
    );
    expectBreak(
      'R39',
      missing((name) => name === 'SET_VRING_ADDR'),
      'violation',
      /without ring 0 logged, ring 1 logged/,
    );
  });

  it('holds when the log is told of just after the rings start in a migration, and not later', () => {
    const without = cancelled.without('wire.recv', ({ t, name }) => t === T + 1 && name === 'SET_LOG_BASE');
    const started = without.plus(
      ...[0, 1].flatMap((ring): Timed[] => [
        { type: 'ring.stop', session: 1, ring, base: 0, t: T + 30 },
        { ...calm.find('ring.start', (event) => event.ring === ring), t: T + 40 },
      ]),
    );
    expectHold('R39', started.plus(...logBase(T + 60)));
    expectBreak('R39', started.plus(...logBase(T + 105 + 250)), 'violation', /without a log$/);
    // What ran before was to be told before memory is copied.
    expectBreak('R39', without.plus(...logBase(T + 60)), 'violation', /without a log$/);
  });

  it('breaks when logging is left on', () => {
    const on = cancelled.without('wire.recv', ({ t }) => t === T + 110);
    expectBreak('R39', on, 'violation', /session 1 still logs ring 0, 1, \d+ ms after the migration/);
  });
});

describe('T4 what the peer writes is migrated', () => {
  it('says nothing when nothing was written', () => {
    expectNotApplicable('T4', calm);
    expectNotApplicable('T4', cancelled.plus(written(T + 118, { pages: 0 })));
  });

  it('holds when it came', () => expectHold('T4', completed, /4 pages that the back-end wrote, 3 of them sent again/));

  it('breaks when something else came last', () => {
    const stale = completed.with('migration.written', () => true, { stale: ['0x101000'] });
    expectBreak('T4', stale, 'violation', /1 page came without what the back-end wrote, the first at 0x101000/);
  });
});

describe('R52 a migration takes along where the rings are', () => {
  it('says nothing without a migration that completed', () => {
    expectNotApplicable('R52', calm);
    expectNotApplicable('R52', failed);
  });
  it('holds at what the back-end said, and at the used index', () => {
    expectHold('R52', migrated(64, { index: 0, next: 64, used: 60 }, { index: 1, next: 64, used: 64 }), /2 rings/);
    // QEMU used what the guest sent meanwhile.
    expectHold('R52', migrated(64, { index: 1, next: 70, used: 70 }));
    expectHold('R52', migrated(undefined, { index: 0, next: 65_535, used: 65_535 }));
    expectHold('R52', migrated(0x1_0000 + 64, { index: 0, next: 64, used: 1 }));
  });
  it('breaks elsewhere', () => {
    const [rx, tx] = [
      { index: 0, next: 0, used: 60 },
      { index: 1, next: 64, used: 64 },
    ];
    const expected =
      /^migration 1: the stream has ring 0 at 0, expected 64 or 60 \(what GET_VRING_BASE returned or the used index\)$/;
    expectBreak('R52', migrated(64, rx, tx), 'violation', expected);
    expectBreak('R52', migrated(undefined, rx), 'violation', /ring 0 at 0, expected 60 \(the used index\)$/);
    // The answer is that of the connection that had the ring last.
    const again = { ...calm.find('ring.start', ({ ring }) => ring === 0), t: T + 112 };
    expectBreak(
      'R52',
      migrated(64, { ...rx, next: 64 }).plus(again),
      'violation',
      /at 64, expected 60 \(the used index\)$/,
    );
  });
  it('compares packed rings without their wrap counters, and where the back-end said it', () => {
    const packed = (story: Story) => story.with('driver.ready', () => true, { layout: 'packed' });
    expectHold('R52', packed(migrated(0x8040_8040, { index: 0, next: 0x40 })));
    expectBreak('R52', packed(migrated(0x8040_8040, { index: 0, next: 0 })), 'violation', /at 0, expected 64/);
    expectHold('R52', packed(migrated(undefined, { index: 0, next: 0 })));
  });
});
