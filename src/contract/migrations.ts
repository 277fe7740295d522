import type { Event, EventOf, Ms, Timeline } from '../timeline/index.js';
import { perTimeline, type Span } from './timing.js';

/**
 * What QEMU does last in a migration may be seen this much after its end: the run state, messages on other sockets. The machine
 * that failed to migrate is started, and its log stopped, by another thread than the one that reports.
 */
export const SETTLED_MS: Ms = 250;

/** One migration, as far as the record goes. */
export interface MigrationView {
  begin: EventOf<'migration.begin'>;
  /** QEMU's words on it, in order. */
  statuses: readonly EventOf<'migration.status'>[];
  stream?: EventOf<'migration.stream'>;
  written?: EventOf<'migration.written'>;
  rings?: EventOf<'migration.rings'>;
  end?: EventOf<'migration.end'>;
  /** When it was at a stand by the tester's doing: nobody read the stream, or nobody let it go on before the switch-over. */
  held: readonly Span[];
}

/** All migrations, in order. */
export const migrations = perTimeline((t: Timeline): readonly MigrationView[] =>
  t.all('migration.begin').map((begin) => {
    const same = ({ migration }: { migration: number }) => migration === begin.migration;
    const stream = t.first('migration.stream', same);
    const written = t.first('migration.written', same);
    const rings = t.first('migration.rings', same);
    const end = t.first('migration.end', same);
    const statuses = t.all('migration.status').filter(same);
    return {
      begin,
      statuses,
      ...(stream ? { stream } : {}),
      ...(written ? { written } : {}),
      ...(rings ? { rings } : {}),
      ...(end ? { end } : {}),
      held: held(t, begin, statuses, [stream, end]),
    };
  }),
);

function held(
  t: Timeline,
  { migration }: EventOf<'migration.begin'>,
  statuses: readonly EventOf<'migration.status'>[],
  ends: readonly (Event | undefined)[],
): Span[] {
  const over = Math.min(...ends.map((end) => end?.t ?? Infinity));
  const hold = t.first('migration.hold', (e) => e.migration === migration);
  const pause = statuses.find(({ status }) => status === 'pre-switchover');
  const spans: Span[] = [];
  if (hold) {
    const release = t.first('migration.release', (e) => e.migration === migration)?.t ?? Infinity;
    spans.push({ from: hold.t, to: Math.min(release, over) });
  }
  if (pause) {
    const goesOn = (command: EventOf<'qmp.command'>) =>
      ['migrate-continue', 'migrate_cancel'].includes(command.execute);
    spans.push({ from: pause.t, to: Math.min(t.first('qmp.command', goesOn, pause.seq)?.t ?? Infinity, over) });
  }
  return spans;
}

/** Whether a migration was under way at some time in a span, with what QEMU does last in it. */
export const migratingIn = (t: Timeline, { from, to }: Span): boolean =>
  migrations(t).some(({ begin, end }) => begin.t <= to && (end === undefined || end.t + SETTLED_MS >= from));
