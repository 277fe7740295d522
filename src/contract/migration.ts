import type { EventOf, Ms, Timeline } from '../timeline/index.js';
import { bit, protocolFeatures, VHOST_F_LOG_ALL } from '../wire/index.js';
import { bigIn, contextOf, numberIn, toBig } from './body.js';
import { periodAt, ringsOf } from './guest-state.js';
import { type Break, counted, hold, judged, ms, notApplicable } from './judgement.js';
import { type MigrationView, migrations, SETTLED_MS } from './migrations.js';
import type { Requirement } from './requirement.js';
import { applied, type Region } from './ring-memory.js';
import { type RingSpan, ringSpans } from './ring-spans.js';
import { lastReply, ringOf, type SessionView, servedSessions, stuck, unowed } from './sessions.js';
import { horizon, spent, uncovered } from './timing.js';

/**
 * A guest of 64 MiB migrates in 0.2 to 0.5 s over a unix socket, of which QEMU sleeps 0.1 s for its own estimate of the
 * bandwidth. Much of the rest is another thread's work, whose waits for a CPU nobody counts.
 */
const MIGRATION_MS: Ms = 8000;

/** VHOST_VRING_F_LOG of SET_VRING_ADDR. */
const VRING_LOG = 1;
const LOG = bit(VHOST_F_LOG_ALL);
const SHARED_LOG = bit(protocolFeatures.VHOST_USER_PROTOCOL_F_LOG_SHMFD);
/** Guest memory that a byte of the log is about: one bit is for a page of 4 KiB (spec, "Migration"). */
const LOGGED_BY_BYTE = 8n * 4096n;

const told = ({ begin }: MigrationView) => `migration ${begin.migration}`;

/** From the command to the end, or the end of the record, without what the tester and the peer held it up. */
function duration(t: Timeline, { begin, end, held }: MigrationView): Ms {
  const to = end?.t ?? horizon(t).t;
  return uncovered({ from: begin.t, to: Math.max(begin.t, to) }, held).reduce(
    (sum, part) => sum + unowed(t, part.from, part.to),
    0,
  );
}

/** Why a migration need not complete: it was cancelled, its destination went away, or its back-end was not there or left. */
function excuse(t: Timeline, { begin, stream, end }: MigrationView): boolean {
  const to = end?.seq ?? t.events.length;
  const during = ({ seq }: { seq: number }) => seq > begin.seq && seq < to;
  const there = servedSessions(t).some((view) => {
    const { complete } = view.handshake;
    return complete !== undefined && complete.seq < begin.seq && view.toSeq > to && !stuck(view);
  });
  return (
    !there ||
    stream?.by === 'destination' ||
    t.first('qmp.command', (c) => during(c) && c.execute === 'migrate_cancel') !== undefined
  );
}

/** The back-end that is there as a migration begins and offered no way to log what it writes; undefined where there is none. */
function withoutLog(t: Timeline, { begin }: MigrationView): SessionView | undefined {
  const there = servedSessions(t).find(
    ({ handshake: { complete }, toSeq }) => complete && complete.seq < begin.seq && toSeq > begin.seq,
  );
  const lacks = (name: string, feature: bigint): boolean => {
    const offer = bigIn((there && lastReply(there, name, begin.seq)?.body) ?? null, 'value');
    return offer !== undefined && (offer & feature) === 0n;
  };
  return lacks('GET_FEATURES', LOG) || lacks('GET_PROTOCOL_FEATURES', SHARED_LOG) ? there : undefined;
}

/** What is wrong with how one migration ended. */
function ending(t: Timeline, view: MigrationView): Break[] {
  const { begin, end } = view;
  const exit = t.first('qemu.exit', ({ asked }) => asked === undefined);
  if (!end && exit && exit.seq > begin.seq) {
    const how = exit.signal ? `signal ${exit.signal}` : `exit code ${exit.code}`;
    const loss = t.last('session.close', () => true, exit.seq);
    const seen = `${told(view)} ended with QEMU itself, by ${how}`;
    return [{ kind: 'crash', seen, events: [begin.seq, ...(loss ? [loss.seq] : []), exit.seq] }];
  }
  const took = duration(t, view);
  if (took > MIGRATION_MS) {
    const last = view.statuses.at(-1);
    const seen = `${told(view)} ${end ? 'ended only' : `was still ${last?.status ?? 'not begun'}`} after ${ms(took)}`;
    return [{ kind: 'hang', seen, events: [begin.seq, ...(last ? [last.seq] : []), ...(end ? [end.seq] : [])] }];
  }
  if (!end) return [];
  const { status, reason } = end;
  const events = [begin.seq, end.seq];
  if ((status === 'failed' || status === 'refused') && !reason)
    return [{ kind: 'violation', seen: `${told(view)} failed without a reason`, events }];
  const blind = withoutLog(t, view);
  if (status === 'completed' && blind) {
    const seen = `${told(view)} completed with session ${blind.session}, whose back-end cannot log what it writes`;
    return [{ kind: 'violation', seen, events: [blind.open.seq, ...events] }];
  }
  if (status !== 'completed' && !blind && !excuse(t, view))
    return [{ kind: 'violation', seen: `${told(view)} ${status} although its back-end was there: ${reason}`, events }];
  return runState(t, view, end);
}

/** Commands after which the run state is another. */
const stateCommands: ReadonlySet<string> = new Set(['stop', 'cont', 'system_reset', 'migrate', 'quit']);

/** The run state after a migration: of a source that has migrated, or as it was. */
function runState(t: Timeline, view: MigrationView, end: EventOf<'migration.end'>): Break[] {
  const before = t.last('qmp.heartbeat', () => true, view.begin.seq)?.status;
  const wanted = end.status === 'completed' ? 'postmigrate' : before;
  const next = t.first('qmp.command', ({ execute }) => stateCommands.has(execute), end.seq);
  const untilSeq = Math.min(next?.seq ?? Infinity, horizon(t).seq);
  const other = t.first(
    'qmp.heartbeat',
    ({ sent, status, seq }) =>
      seq < untilSeq && status !== wanted && sent > end.t && spent(t, end.t, sent) > SETTLED_MS,
    end.seq,
  );
  if (!other || wanted === undefined) return [];
  const seen = `${told(view)} ${end.status}, and ${ms(other.sent - end.t)} later the machine is ${other.status}, not ${wanted}`;
  return [{ kind: 'violation', seen, events: [end.seq, other.seq] }];
}

export const R35: Requirement = {
  id: 'R35',
  title: 'A migration ends, and QEMU lives',
  sentence:
    'A migration during which the back-end is away, leaves or returns ends as completed or failed with a reason, and leaves the virtual machine in the run state that belongs to that.',
  level: 'must',
  label: 'contract',
  sources: [
    'qemu:hw/virtio/vhost.c#vhost_log_global_start',
    'qemu:hw/virtio/vhost.c#vhost_log_global_stop',
    'qemu:migration/migration.c#migration_iteration_finish',
    'defect:migration-log-start-abort',
    'defect:migration-log-stop-abort',
    'qemu:hw/virtio/vhost.c#vhost_dev_init',
  ],
  allowed: `Completed (postmigrate), or failed or cancelled (as before) within ${MIGRATION_MS} ms of the command, not counting what the destination or the back-end hold it up; completed with a back-end that is there throughout and can log, unless cancelled; never with one that cannot.`,
  judge(t) {
    const all = migrations(t);
    if (all.length === 0) return notApplicable('QEMU was not told to migrate');
    const breaks = all.flatMap((view) => ending(t, view));
    const ended = all.flatMap(({ end }) => end ?? []);
    if (breaks.length === 0 && ended.length === 0) return notApplicable('no migration came to its end');
    const words = ended.map(({ status, reason }) => (reason ? `${status} (${reason})` : status));
    return judged(
      breaks,
      hold(
        `${counted(ended.length, 'migration')}: ${words.join(', ')}`,
        ended.map(({ seq }) => seq),
      ),
    );
  },
};

/** Whether QEMU may be logging when a message comes. */
function mayLog(t: Timeline, message: EventOf<'wire.recv'>): boolean {
  return migrations(t).some(
    ({ begin, end }) =>
      begin.seq < message.seq &&
      (end === undefined || message.seq < end.seq || spent(t, end.t, message.t) <= SETTLED_MS),
  );
}

const logs = (message: EventOf<'wire.recv'>): boolean =>
  message.name === 'SET_FEATURES'
    ? ((bigIn(message.body, 'value') ?? 0n) & LOG) !== 0n
    : message.name === 'SET_VRING_ADDR' && ((numberIn(message.body, 'flags') ?? 0) & VRING_LOG) !== 0;

/** Logs that came twice in one stretch of logging, and logging with no migration. A log of another size is another log. */
function superfluous(t: Timeline, view: SessionView): Break[] {
  const breaks: Break[] = [];
  let known = new Map<string, EventOf<'wire.recv'>>();
  for (const message of view.received) {
    const { name, body, seq } = message;
    const about = `session ${view.session}: ${name} (message ${message.index})`;
    if ((logs(message) || name === 'SET_LOG_BASE') && !mayLog(t, message))
      breaks.push({ kind: 'violation', seen: `${about} logs although nothing is migrated`, events: [seq] });
    if (name === 'GET_VRING_BASE' || (name === 'SET_FEATURES' && !logs(message))) known = new Map();
    if (name !== 'SET_LOG_BASE') continue;
    const size = String(bigIn(body, 'size') ?? bigIn(body, 'value'));
    const before = known.get(size);
    if (before) {
      const seen = `${about} is the same log as message ${before.index}`;
      breaks.push({ kind: 'violation', seen, events: [before.seq, seq] });
    }
    known.set(size, message);
  }
  return breaks;
}

/** Logs that are too short for the memory that the back-end knows of. */
function short(view: SessionView): Break[] {
  let table: readonly Region[] = [];
  return view.received.flatMap((message): Break[] => {
    table = applied(table, message);
    const size = message.name === 'SET_LOG_BASE' ? bigIn(message.body, 'size') : undefined;
    if (size === undefined) return [];
    const logged = size * LOGGED_BY_BYTE;
    const end = table.reduce((top, { guestAddr, size: of }) => (guestAddr + of > top ? guestAddr + of : top), 0n);
    if (logged >= end) return [];
    const covers = `is for memory up to 0x${logged.toString(16)}, the guest's ends at 0x${end.toString(16)}`;
    const seen = `session ${view.session}: the log of ${size} bytes (message ${message.index}) ${covers}`;
    return [{ kind: 'violation', seen, events: [message.seq] }];
  });
}

/** Used rings that are to be logged elsewhere than they are. */
function misplaced(t: Timeline, view: SessionView): Break[] {
  return view.received.flatMap((message): Break[] => {
    if (message.name !== 'SET_VRING_ADDR' || !logs(message)) return [];
    const { ready } = periodAt(t, message.seq);
    const ring = ready && ready.seq < message.seq && ringsOf(ready).find(({ index }) => index === ringOf(message));
    const at = bigIn(message.body, 'log');
    // Of a packed ring the device writes the descriptors too; which address QEMU names is of no use to a back-end.
    if (!ring || ready.layout === 'packed' || at === undefined || at === toBig(ring.used)) return [];
    const seen = `session ${view.session}: ring ${ring.index} is to be logged at 0x${at.toString(16)}, its used ring is at ${ring.used}`;
    return [{ kind: 'violation', seen, events: [ready.seq, message.seq] }];
  });
}

/** What a session was told of logging, up to an event. */
function logging(view: SessionView, beforeSeq: number) {
  let log: EventOf<'wire.recv'> | undefined;
  let features: EventOf<'wire.recv'> | undefined;
  const rings = new Map<number, EventOf<'wire.recv'>>();
  for (const message of view.received) {
    if (message.seq > beforeSeq) break;
    if (message.name === 'SET_LOG_BASE') log = message;
    if (message.name === 'SET_FEATURES') features = message;
    if (message.name === 'SET_VRING_ADDR') rings.set(ringOf(message) ?? -1, message);
  }
  return { log, features, rings };
}

/** The stretches of a session's rings that run at an event. */
const running = (t: Timeline, view: SessionView, seq: number): RingSpan[] =>
  ringSpans(t).filter((span) => span.session === view.session && span.fromSeq < seq && span.toSeq > seq);

/** Running rings that are not logged although memory is being copied. */
function unlogged(t: Timeline, view: SessionView): Break[] {
  return t.all('migration.hold').flatMap((copied): Break[] => {
    const begin = t.last('migration.begin', () => true, copied.seq);
    const spans = running(t, view, copied.seq);
    const rings = spans.map(({ ring }) => ring);
    if (!begin || rings.length === 0 || stuck(view)) return [];
    const missingAt = (seq: number): string[] => {
      const now = logging(view, seq);
      return [
        ...(now.log && now.log.seq > begin.seq ? [] : ['a log']),
        ...(now.features && logs(now.features) ? [] : ['VHOST_F_LOG_ALL']),
        ...rings
          .filter((ring) => !now.rings.has(ring) || !logs(now.rings.get(ring)!))
          .map((ring) => `ring ${ring} logged`),
      ];
    };
    const missing = missingAt(copied.seq);
    if (missing.length === 0) return [];
    // Rings that start in a migration run before the back-end is told of the log (vhost_dev_start).
    const startedIn = spans.some(({ fromSeq }) => fromSeq > begin.seq);
    const soon = view.received.filter(({ seq, t: at }) => seq > copied.seq && spent(t, copied.t, at) <= SETTLED_MS);
    if (startedIn && soon.some(({ seq }) => missingAt(seq).length === 0)) return [];
    const seen = `session ${view.session} runs while memory is copied, without ${missing.join(', ')}`;
    return [{ kind: 'violation', seen, events: [begin.seq, copied.seq] }];
  });
}

/** Running rings that are still logged when a migration is over. */
function leftOn(t: Timeline, view: SessionView): Break[] {
  return migrations(t).flatMap(({ end }, i): Break[] => {
    const next = migrations(t)[i + 1]?.begin;
    const until = [view.close, next, horizon(t)].flatMap((e) => e ?? []).reduce((a, b) => (b.seq < a.seq ? b : a));
    if (!end || view.open.seq > end.seq || until.seq < end.seq || spent(t, end.t, until.t) <= SETTLED_MS) return [];
    const now = logging(view, until.seq);
    const still = running(t, view, until.seq - 1)
      .map(({ ring }) => ring)
      .filter((ring) => (now.features && logs(now.features)) || (now.rings.has(ring) && logs(now.rings.get(ring)!)));
    if (still.length === 0) return [];
    const seen = `session ${view.session} still logs ring ${still.join(', ')}, ${ms(until.t - end.t)} after the migration`;
    return [{ kind: 'violation', seen, events: [end.seq, ...(now.features ? [now.features.seq] : [])] }];
  });
}

export const R39: Requirement = {
  id: 'R39',
  title: 'Writes are logged while QEMU migrates, once, and not after',
  sentence:
    'While memory is migrated a back-end whose rings run has one log, acked VHOST_F_LOG_ALL and rings flagged to be logged; each log is long enough for all of the memory and handed over once, and logging is off again after it.',
  level: 'must',
  label: 'spec',
  sources: [
    'spec:Migration',
    'qemu:hw/virtio/vhost.c#vhost_migration_log',
    'qemu:hw/virtio/vhost-user.c#vhost_user_set_log_base',
    'defect:log-base-per-queue',
  ],
  allowed: `A log again when its size changes, after rings were stopped, and on another connection; within ${SETTLED_MS} ms where rings start in a migration; off within ${SETTLED_MS} ms of the migration's end, or with the rings.`,
  judge(t) {
    const sessions = servedSessions(t);
    const bases = sessions.flatMap(({ received }) => received.filter(({ name }) => name === 'SET_LOG_BASE'));
    const breaks = sessions.flatMap((view) => [
      ...superfluous(t, view),
      ...short(view),
      ...misplaced(t, view),
      ...unlogged(t, view),
      ...leftOn(t, view),
    ]);
    if (breaks.length === 0 && bases.length === 0) return notApplicable('nothing was logged, and nothing had to be');
    return judged(
      breaks,
      hold(
        `${counted(bases.length, 'log')} in ${counted(migrations(t).length, 'migration')} of ${counted(contextOf(t)?.queuePairs ?? 1, 'queue pair')}`,
        bases.map(({ seq }) => seq),
      ),
    );
  },
};

export const T4: Requirement = {
  id: 'T4',
  title: 'What the peer writes is migrated',
  sentence:
    'A completed migration has sent every page that a back-end wrote packets into since it began, with what was written last.',
  level: 'must',
  label: 'spec',
  sources: [
    'spec:Migration',
    'qemu:hw/virtio/vhost.c#vhost_sync_dirty_bitmap',
    'qemu:migration/ram.c#ram_save_complete',
  ],
  allowed: 'Pages sent more often than needed.',
  judge(t) {
    const written = migrations(t).flatMap((view) => view.written ?? []);
    const pages = written.reduce((sum, one) => sum + one.pages, 0);
    if (pages === 0) return notApplicable('no back-end wrote packets during a migration that completed');
    const breaks = written.flatMap(({ migration, stale, seq }): Break[] => {
      if (stale.length === 0) return [];
      const seen = `migration ${migration}: ${counted(stale.length, 'page')} came without what the back-end wrote, the first at ${stale[0]}`;
      return [{ kind: 'violation', seen, events: [seq] }];
    });
    const again = written.reduce((sum, one) => sum + one.again, 0);
    return judged(
      breaks,
      hold(
        `${counted(pages, 'page')} that the back-end wrote, ${again} of them sent again for it`,
        written.map(({ seq }) => seq),
      ),
    );
  },
};
