import { firstIndex, type Ms, type SeqRanges, type Timeline } from '../timeline/index.js';
import { ledger } from './packets.js';
import { count, intersect, subtract } from './ranges.js';
import { allRunning } from './ring-spans.js';
import { type Loss, losses, servedSessions } from './sessions.js';
import { horizon } from './timing.js';

/** One interruption of traffic, measured by the packets. */
export interface Outage {
  /** Number of the session that ended. */
  session: number;
  /** From the session's end to the peer's return (dial accepted, or accept); to QEMU's end when no peer came back. */
  awayMs: Ms;
  /** From the peer's return to all rings running again; undefined without a driver, or when they never ran again. */
  restartMs?: Ms;
  /** From the last packet seen before to the first packet seen after, per direction; undefined when none came. */
  txMs?: Ms;
  rxMs?: Ms;
  /** From the last answered ping of a guest before to the first one after all rings ran again; undefined when none came. */
  pingMs?: Ms;
  /** Pings in between that had no answer. */
  pingsLost?: number;
  /** TX packets that QEMU itself completed while no peer was there. */
  completedByQemu: number;
}

/** From the last packet that an earlier session carried to the first that a later one did. */
function silence(t: Timeline, dir: 'tx' | 'rx', loss: Loss): Ms | undefined {
  const later = (session: number | undefined) => session !== undefined && session > loss.view.session;
  const before = new Map<number, SeqRanges>();
  for (const sent of t.all('packets.sent'))
    if (sent.dir === 'rx' && !later(sent.session))
      before.set(sent.pair, [...(before.get(sent.pair) ?? []), ...sent.seqs]);
  // TX names the session that saw the packets; RX is told apart by the session that sent them.
  const seen = t.all('packets.seen').filter((e) => e.dir === dir);
  const [old, fresh] =
    dir === 'tx'
      ? [seen.filter((e) => !later(e.session)), seen.filter((e) => later(e.session))]
      : [
          seen.filter((e) => intersect(e.seqs, before.get(e.pair) ?? []).length > 0),
          seen.filter((e) => e.seq > loss.close.seq && subtract(e.seqs, before.get(e.pair) ?? []).length > 0),
        ];
  const last = old.at(-1);
  const first = fresh[0];
  return last && first ? Math.max(0, first.t - last.t) : undefined;
}

/** What a guest that pings had of a loss, once its rings ran again: between two answers there is none. */
function pinging(t: Timeline, running: { t: Ms }, until: Ms): Pick<Outage, 'pingMs' | 'pingsLost'> {
  const pings = t.all('guest.ping');
  const at = firstIndex(pings, (ping) => ping.t > running.t);
  const [before, after] = [pings[at - 1], pings[at]];
  // A session that ended before is part of the next outage.
  if (!before || !after || after.t > until) return {};
  const sameRun = before.nic === after.nic && before.epoch === after.epoch;
  return { pingMs: after.t - before.t, ...(sameRun && { pingsLost: Math.max(0, after.number - before.number - 1) }) };
}

/** The losses of a run as interruptions, in order. */
export function outages(t: Timeline): Outage[] {
  const all = losses(t);
  const seqs = new Map(all.map((loss) => [loss.view.session, 0]));
  // What QEMU completed by itself belongs to the last loss before it did.
  for (const fate of ledger(t).byQemu) {
    const loss = all.findLast(({ close }) => close.t <= fate.span.to);
    if (loss) seqs.set(loss.view.session, (seqs.get(loss.view.session) ?? 0) + count(fate.seqs));
  }
  const views = servedSessions(t);
  const place = new Map(views.map((view, i) => [view, i]));
  return all.map((loss) => {
    const { close, view } = loss;
    let next = place.get(view)! + 1;
    while (next < views.length && views[next]!.toSeq <= close.seq) next++;
    const back = views[next];
    const backAt = back && Math.max(back.open.t, close.t);
    const running = back && allRunning(t, back);
    const txMs = silence(t, 'tx', loss);
    const rxMs = silence(t, 'rx', loss);
    return {
      session: view.session,
      awayMs: (backAt ?? Math.max(close.t, horizon(t).t)) - close.t,
      ...(running && backAt !== undefined ? { restartMs: Math.max(0, running.t - backAt) } : {}),
      ...(txMs === undefined ? {} : { txMs }),
      ...(rxMs === undefined ? {} : { rxMs }),
      ...(running && pinging(t, running, back.to)),
      completedByQemu: seqs.get(view.session) ?? 0,
    };
  });
}
