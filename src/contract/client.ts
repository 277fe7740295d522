import { type EventOf, firstIndex, type Ms, type Timeline } from '../timeline/index.js';
import { contextOf } from './body.js';
import { type Break, broken, counted, hold, judged, ms, notApplicable } from './judgement.js';
import { withoutChardev } from './removal.js';
import type { Requirement } from './requirement.js';
import { closedLate, type Loss, losses, sessionViews } from './sessions.js';
import { hangs, horizon, outside, perTimeline, type Span, shortages, spent, uncovered } from './timing.js';

/** Timers of QEMU and the tester's clock round differently; measured 1000-1010 ms for 1000. */
const EARLY_MS = 20;

/**
 * On top of one interval, in which a dial comes round whenever the peer began to listen: the dial itself, by a thread whose
 * waits for a CPU nobody counts. Half of the shortest interval of most versions (1 s), so that a doubled one shows.
 */
const LATE_MS = 500;

/** QEMU's way from a lost connection to `disconnected`, as its chardev reports it. */
const DISCONNECTED_MS = 1000;

/** What the machine took of a loss, or of the start, before QEMU armed its timer, is looked for in this time. */
const ARM_MS = 250;

/**
 * How long past its round a dial came, or is missing, with a peer that listens since `from`. A timer runs by itself: only
 * what the machine took when it was armed, and since it was due, counts.
 */
function overdue(t: Timeline, from: Ms, to: Ms, interval: Ms): Ms {
  const due = from + interval;
  return to <= due ? 0 : spent(t, due, to) - t.starved(from, from + ARM_MS);
}

/** When the peer listened (client role). */
const listening = perTimeline((t: Timeline): readonly Span[] =>
  t
    .all('peer.listen')
    .filter((listen) => !listen.decoy)
    .map((listen) => ({ from: listen.t, to: t.first('peer.unlisten', (e) => !e.decoy, listen.seq)?.t ?? t.end })),
);

/** The parts of a span in which a dial could succeed: the peer listened and accepted, and QEMU had a chardev, and descriptors to be had. */
function listenedIn(t: Timeline, span: Span): Span[] {
  const all = listening(t);
  const parts: Span[] = [];
  for (let i = firstIndex(all, ({ to }) => to > span.from); i < all.length && all[i]!.from < span.to; i++)
    parts.push({ from: Math.max(all[i]!.from, span.from), to: Math.min(all[i]!.to, span.to) });
  const kept = [...shortages(t), ...withoutChardev(t), ...hangs(t)];
  return parts.flatMap((part) => uncovered(part, kept)).filter((part) => part.to > part.from);
}

/**
 * Losses after QEMU's start-up. While the netdev waits for its first handshake it dials again at once, with or without an
 * interval (net_vhost_user_init, tcp_chr_wait_connected).
 */
function lossesWhenUp(t: Timeline): Loss[] {
  const ready = t.first('qmp.ready')?.t ?? Infinity;
  return losses(t).filter((loss) => loss.close.t >= ready);
}

/** The connection that QEMU made next after a loss. */
function redial(t: Timeline, loss: Loss): EventOf<'session.open'> | undefined {
  return t.first('session.open', (open) => open.by === 'accept', loss.close.seq);
}

/**
 * Whether the timer of a refused dial may still run when a connection is lost. A netdev that is added while the first dial of its
 * chardev fails dials by itself, and leaves the timer that the failure arms (tcp_chr_wait_connected cancels it before).
 */
function firstTimerRuns(t: Timeline, { view, close }: Loss, interval: number): boolean {
  const begins = [t.first('qemu.spawn')?.t ?? 0, ...withoutChardev(t).map(({ to }) => to)];
  const begin = Math.max(...begins.filter((at) => at <= view.open.t));
  if (close.t > begin + interval + ARM_MS) return false;
  const served = t.first('session.open', (open) => open.by === 'accept' && open.t >= begin);
  return served === view.open && uncovered({ from: begin, to: view.open.t }, listening(t)).length > 0;
}

/**
 * How long the end of a connection may have been before its record, which makes a redial look early. QEMU's own is noticed when
 * the machine lets the tester; the peer's is recorded before it is done, but for one at a cut: it hangs up first, at the message.
 */
function recordedLate(t: Timeline, { view, close }: Loss, interval: Ms): Ms {
  if (close.by !== 'peer') return t.starved(close.t - interval, close.t);
  return close.cut === undefined ? 0 : close.t - (view.received.at(-1)?.t ?? close.t);
}

function early(t: Timeline, loss: Loss, open: EventOf<'session.open'>, interval: number): Break[] {
  // A chardev that was added meanwhile dials at once.
  if (withoutChardev(t).some(({ from, to }) => to > loss.close.t && from < open.t)) return [];
  if (firstTimerRuns(t, loss, interval)) return [];
  const after = open.t - loss.close.t;
  if (after >= interval - EARLY_MS - recordedLate(t, loss, interval)) return [];
  const seen = `redialled ${ms(after)} after session ${loss.view.session} ended, interval ${ms(interval)}`;
  return [{ kind: 'violation', seen, events: [loss.close.seq, open.seq] }];
}

function late(t: Timeline, loss: Loss, open: EventOf<'session.open'> | undefined, interval: number): Break[] {
  const to = open?.t ?? horizon(t).t;
  return listenedIn(t, { from: loss.close.t, to }).flatMap((span) => {
    if (overdue(t, span.from, span.to, interval) <= LATE_MS) return [];
    const wait = span.to - span.from;
    const what = open && open.t === span.to ? `redialled only after ${ms(wait)}` : `no connection in ${ms(wait)}`;
    return {
      kind: 'violation',
      seen: `${what} of listening after session ${loss.view.session} ended, interval ${ms(interval)}`,
      events: open ? [loss.close.seq, open.seq] : [loss.close.seq],
    };
  });
}

export const R12: Requirement = {
  id: 'R12',
  title: 'A dialling QEMU comes back in time',
  sentence:
    'A dialling QEMU with a reconnect interval R dials again R after the loss, then every R until it succeeds, and not earlier.',
  level: 'must',
  label: 'contract',
  sources: ['qemu:chardev/char-socket.c#qemu_chr_socket_restart_timer', 'qemu:qapi/char.json#ChardevSocket'],
  allowed: `Not before R (less ${EARLY_MS} ms), and within R + ${LATE_MS} ms of listening; earlier where the first dial of a chardev may have been refused less than R ago.`,
  judge(t) {
    const context = contextOf(t);
    if (context?.role !== 'client' || context.reconnectMs <= 0)
      return notApplicable('QEMU does not dial on an interval');
    const interval = context.reconnectMs;
    const all = losses(t);
    const breaks: Break[] = [];
    const redials: string[] = [];
    const events: number[] = [];
    const up = new Set(lossesWhenUp(t));
    for (const loss of all) {
      const open = redial(t, loss);
      if (open && up.has(loss)) breaks.push(...early(t, loss, open, interval));
      breaks.push(...late(t, loss, open, interval));
      if (!open) continue;
      const [last] = listenedIn(t, { from: loss.close.t, to: open.t }).slice(-1);
      const came = last && last.from > loss.close.t ? `, ${ms(open.t - last.from)} after the peer listened again` : '';
      redials.push(`${ms(open.t - loss.close.t)} after the loss${came}`);
      events.push(loss.close.seq, open.seq);
    }
    if (breaks.length === 0 && redials.length === 0) return notApplicable('no loss was followed long enough');
    return judged(breaks, hold(`redialled ${redials.join('; ')}; interval ${ms(interval)}`, events));
  },
};

/** From a dial that failed to its line in the record: it is read from a pipe. Before that a line may be of the outage before. */
const SAID_MS = 250;

const REPORT = /unable to connect character device/i;

/** A time without a connection: from the start of QEMU, or a loss, to its next connection. */
interface Outage extends Span {
  what: string;
  seq: number;
}

function outagesOf(t: Timeline): Outage[] {
  const spawn = t.first('qemu.spawn');
  const end = horizon(t).t;
  const begins = [
    ...(spawn ? [{ t: spawn.t, seq: spawn.seq, what: 'before the first connection' }] : []),
    ...losses(t).map(({ close, view }) => ({ t: close.t, seq: close.seq, what: `after session ${view.session}` })),
  ];
  return begins.map(({ t: from, seq, what }) => {
    const open = t.first('session.open', ({ by }) => by === 'accept', seq);
    return { from, to: Math.min(open?.t ?? Infinity, end), seq, what };
  });
}

export const R15: Requirement = {
  id: 'R15',
  title: 'Dials that fail are reported once an outage',
  sentence:
    'A dialling QEMU reports that it cannot connect at the first dial that fails, once, and again in a later outage.',
  level: 'should',
  label: 'contract',
  sources: ['qemu:chardev/char-socket.c#check_report_connect_error', 'defect:client-connect-fail-yank-abort'],
  allowed: `One line an outage; what comes in its first ${SAID_MS} ms may be of the one before. Where one outage had its line, each later one that begins with R + ${SAID_MS} ms without a listener has one.`,
  judge(t) {
    const context = contextOf(t);
    if (context?.role !== 'client' || context.reconnectMs <= 0)
      return notApplicable('QEMU does not dial on an interval');
    const lines = t.all('qemu.stderr').filter(({ line }) => REPORT.test(line));
    const breaks: Break[] = [];
    const events: number[] = [];
    let reported = 0;
    const all = outagesOf(t);
    for (const [i, { from, to, seq, what }] of all.entries()) {
      const until = Math.min(to + SAID_MS, all[i + 1]?.from ?? Infinity);
      const own = lines.filter((line) => line.t >= from && line.t <= until);
      const sure = own.filter((line) => line.t > from + SAID_MS + t.starved(from, line.t));
      if (sure.length > 1)
        breaks.push({
          kind: 'violation',
          seen: `${counted(sure.length, 'report')} of failed dials ${what}`,
          events: [seq, ...sure.map((line) => line.seq)],
        });
      const absent = outside({ from, to }, listening(t))[0];
      // A chardev that goes takes its dials with it.
      const dialled = !withoutChardev(t).some((gone) => gone.to > from && gone.from < (absent?.to ?? from));
      const refused = dialled && absent?.from === from && overdue(t, from, absent.to, context.reconnectMs) > SAID_MS;
      if (refused && absent && own.length === 0 && reported > 0)
        breaks.push({
          kind: 'violation',
          seen: `no report in ${ms(absent.to - from)} without a listener ${what}, as there was before`,
          events: [seq],
        });
      reported += own.length;
      events.push(...own.map((line) => line.seq));
    }
    if (breaks.length === 0 && reported === 0) return notApplicable('no dial was reported to fail');
    return judged(breaks, hold(`${counted(reported, 'report')} in ${counted(all.length, 'outage')}`, events));
  },
};

export const R13: Requirement = {
  id: 'R13',
  title: 'Without an interval there is no redial',
  sentence: 'A dialling QEMU without a reconnect interval does not dial again, and keeps running disconnected.',
  level: 'must',
  label: 'contract',
  sources: ['qemu:chardev/char-socket.c#tcp_chr_disconnect_locked', 'qemu:qapi/char.json#ChardevSocket'],
  allowed: `No connection after the first loss; the chardev says disconnected from ${DISCONNECTED_MS} ms after it.`,
  judge(t) {
    const context = contextOf(t);
    if (context?.role !== 'client' || context.reconnectMs > 0)
      return notApplicable('QEMU redials by configuration, or listens');
    const loss = lossesWhenUp(t)[0];
    if (!loss) return notApplicable('no connection was lost');
    const open = redial(t, loss);
    if (open) {
      const seen = `dialled ${ms(open.t - loss.close.t)} after session ${loss.view.session} ended, without an interval`;
      return broken('violation', seen, [loss.close.seq, open.seq]);
    }
    const state = t.first(
      'chardev.state',
      (e) => e.connected && spent(t, loss.close.t, e.t) > DISCONNECTED_MS,
      loss.close.seq,
    );
    if (state) {
      const seen = `the chardev says connected ${ms(state.t - loss.close.t)} after the last connection ended`;
      return broken('violation', seen, [loss.close.seq, state.seq]);
    }
    const watched = horizon(t).t - loss.close.t;
    return hold(`no dial in the ${ms(watched)} after session ${loss.view.session} ended`, [loss.close.seq]);
  },
};

export const R14: Requirement = {
  id: 'R14',
  title: 'A peer that is not there yet is waited for',
  sentence:
    'A dialling QEMU that finds no listener at its start retries like after a loss, and then opens exactly one connection.',
  level: 'must',
  label: 'regression',
  sources: [
    'qemu:chardev/char-socket.c#tcp_chr_wait_connected',
    'defect:client-initial-connect-not-retried',
    'defect:duplicate-initial-connection-hang',
  ],
  allowed: `One connection within R + ${LATE_MS} ms of the peer listening; QEMU does not give up.`,
  judge(t) {
    const context = contextOf(t);
    if (context?.role !== 'client' || context.reconnectMs <= 0)
      return notApplicable('QEMU does not dial on an interval');
    const spawn = t.first('qemu.spawn');
    const listen = t.first('peer.listen', (e) => !e.decoy);
    if (!spawn || (listen && listen.seq < spawn.seq)) return notApplicable('the peer was there before QEMU');
    const first = sessionViews(t)[0];
    const open = first?.open;
    const exit = t.first('qemu.exit');
    const refused = t.first('qemu.stderr', ({ line }) => /failed to connect/i.test(line));
    if (!open && exit && exit.asked === undefined && refused) {
      const seen = `QEMU gave up with exit ${exit.signal ?? exit.code}: ${refused.line}`;
      return broken('violation', seen, [spawn.seq, refused.seq, exit.seq]);
    }
    if (!listen) return notApplicable('the peer never listened');
    const wait = (open?.t ?? horizon(t).t) - listen.t;
    if (overdue(t, listen.t, listen.t + wait, context.reconnectMs) > LATE_MS)
      return broken('violation', `${open ? 'connected only' : 'no connection'} after ${ms(wait)} of listening`, [
        listen.seq,
        ...(open ? [open.seq] : []),
      ]);
    if (!first || !open) return notApplicable('the peer did not listen long enough');
    const beside = t
      .all('session.open')
      .filter((e) => e.seq > open.seq && e.seq < (first.close?.seq ?? Infinity) && !closedLate(t, first, e));
    if (beside.length > 0)
      return broken('violation', `${counted(beside.length + 1, 'connection')} at the start instead of one`, [
        open.seq,
        ...beside.map((e) => e.seq),
      ]);
    const absent = listen.t - spawn.t;
    return hold(`one connection, ${ms(open.t - listen.t)} after the peer listened (${ms(absent)} after QEMU's start)`, [
      listen.seq,
      open.seq,
    ]);
  },
};
