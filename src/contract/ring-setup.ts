import type { EventOf, Timeline } from '../timeline/index.js';
import {
  driverPeriods,
  freeSince,
  negotiatedSeq,
  pairsBetween,
  periodAt,
  ringsOf,
  unseenGuest,
} from './guest-state.js';
import { type Break, counted, hold, judged, ms, notApplicable } from './judgement.js';
import { removals } from './removal.js';
import type { Requirement } from './requirement.js';
import { guestRings, spansIn, startedAt } from './ring-spans.js';
import { protocolAck, ringOf, type SessionView, servedSessions, stuck, unowed } from './sessions.js';
import { lack, tooFewSlots } from './sufficiency.js';
import { horizon, spent } from './timing.js';

/** From the handshake's end, or DRIVER_OK, to the last ring's start; measured 1-30 ms, at most 700 ms on a busy machine. */
const RINGS_MS = 2000;

/** What follows a guest's change of its number of queue pairs is sent before the device answers. */
const PAIRS_MS = 1000;

/** A reset of the driver is recorded at its own time; what QEMU sent before it took note can come this much later. */
const RESET_RACE_MS = 1000;

type Message = EventOf<'wire.recv'>;

const ringPart: ReadonlySet<string> = new Set([
  'SET_FEATURES',
  'SET_MEM_TABLE',
  'ADD_MEM_REG',
  'SET_VRING_NUM',
  'SET_VRING_BASE',
  'SET_VRING_ADDR',
  'SET_VRING_KICK',
]);
const perRing: ReadonlySet<string> = new Set(['SET_VRING_NUM', 'SET_VRING_BASE', 'SET_VRING_ADDR', 'SET_VRING_KICK']);
const beforeKick = ['SET_VRING_NUM', 'SET_VRING_BASE', 'SET_VRING_ADDR'];

/** Whether a driver had negotiated when a message came, or had until just before. */
function negotiated(t: Timeline, message: Message): boolean {
  const period = periodAt(t, message.seq);
  if (period.features && period.features.seq < message.seq) return true;
  const reset = t.events[period.fromSeq];
  const before = t.last('driver.features', () => true, message.seq);
  return reset !== undefined && before !== undefined && spent(t, reset.t, message.t) <= RESET_RACE_MS;
}

/** The first message of the ring part that comes too early or without what it builds on. */
function misplaced(t: Timeline, view: SessionView): Break[] {
  const seen = new Set<string>();
  const rings = new Map<number, Set<string>>();
  const started = new Set<number>();
  let kicked: number | undefined;
  const wrong = (message: Message, why: string): Break[] => [
    {
      kind: 'violation',
      seen: `session ${view.session}: ${message.name} (message ${message.index}) ${why}`,
      events: [message.seq],
    },
  ];
  for (const message of view.received) {
    const ring = ringOf(message) ?? -1;
    if (ringPart.has(message.name) && !unseenGuest(t) && !negotiated(t, message))
      return wrong(message, 'without a driver that had negotiated');
    if (message.name === 'SET_MEM_TABLE' || message.name === 'ADD_MEM_REG') {
      if (!seen.has('SET_FEATURES')) return wrong(message, 'before SET_FEATURES');
      seen.add('memory');
    } else if (message.name === 'GET_VRING_BASE') {
      rings.delete(ring);
      if (ring === kicked) kicked = undefined;
      // Every start sends the features anew, and the table too unless it is told in changes (vhost_dev_start).
      if (started.delete(ring) && started.size === 0) {
        seen.delete('SET_FEATURES');
        if (!seen.has('ADD_MEM_REG')) seen.delete('memory');
      }
    } else if (message.name === 'SET_VRING_CALL' && ring === kicked) kicked = undefined;
    else if (perRing.has(message.name)) {
      if (!seen.has('memory')) return wrong(message, 'before the memory table');
      if (kicked !== undefined && ring !== kicked) return wrong(message, `before SET_VRING_CALL of ring ${kicked}`);
      const have = rings.get(ring) ?? new Set<string>();
      rings.set(ring, have.add(message.name));
      if (message.name !== 'SET_VRING_KICK') continue;
      const missing = beforeKick.filter((name) => !have.has(name));
      if (missing.length > 0) return wrong(message, `of ring ${ring} without ${missing.join(' and ')}`);
      kicked = ring;
      started.add(ring);
    }
    seen.add(message.name);
  }
  return [];
}

/** Rings that a driver which is up did not get, or got late, after the handshake. */
function overdue(t: Timeline, view: SessionView): { started: number; breaks: Break[] } {
  const complete = view.handshake.complete;
  const breaks: Break[] = [];
  let started = 0;
  if (!complete) return { started, breaks };
  for (const period of driverPeriods(t)) {
    const { ready, toSeq, to } = period;
    if (!ready || ready.seq > view.toSeq || toSeq < complete.seq) continue;
    const until = Math.min(view.to, to, horizon(t).t);
    const free = freeSince(t, view.toSeq);
    for (const { index } of ringsOf(ready)) {
      const start = t.first('ring.start', (e) => e.session === view.session && e.ring === index, negotiatedSeq(period));
      if (start && start.seq < toSeq) started++;
      else if (free === undefined || stuck(view) || tooFewSlots(t, view)) continue;
      const from = Math.max(complete.t, ready.t, free ?? 0);
      const wait = unowed(t, from, Math.min(start?.t ?? Infinity, until));
      if (wait <= RINGS_MS) continue;
      const what = start && start.seq < toSeq ? `started ring ${index} only after` : `did not start ring ${index} in`;
      breaks.push({
        kind: 'violation',
        seen: `session ${view.session}: QEMU ${what} ${ms(wait)}`,
        events: [complete.seq, ready.seq, ...(start ? [start.seq] : [])].sort((a, b) => a - b),
      });
    }
  }
  return { started, breaks };
}

/**
 * Rings that were stopped in a session by what was taken back, and that did not start again: there is no handshake to wait for,
 * and what starts them is the same as at first (virtio_net_vhost_status).
 */
function forsaken(t: Timeline, view: SessionView): Break[] {
  if (stuck(view) || tooFewSlots(t, view)) return [];
  // A netdev that is removed takes its rings with it.
  const removal = removals(t).find(({ asked }) => asked.seq > view.open.seq)?.asked;
  return driverPeriods(t).flatMap(({ ready, to, toSeq }) => {
    const endSeq = Math.min(toSeq, view.toSeq, horizon(t).seq, removal?.seq ?? Infinity);
    const until = Math.min(to, view.to, horizon(t).t, removal?.t ?? Infinity);
    const free = freeSince(t, endSeq);
    if (!ready || free === undefined) return [];
    return ringsOf(ready).flatMap(({ index }): Break[] => {
      const within = ({ ring, seq }: { ring: number; seq: number }) =>
        ring === index && seq > ready.seq && seq < endSeq;
      const stop = t.of('ring.stop', view.session).findLast(within);
      if (!stop || startedAt(t, view, endSeq).includes(index)) return [];
      if (index >= 2 * pairsBetween(t, ready, stop.seq, endSeq).least) return [];
      const wait = unowed(t, Math.max(stop.t, free), until);
      if (wait <= RINGS_MS) return [];
      const seen = `session ${view.session}: QEMU stopped ring ${index} and did not start it again in ${ms(wait)}`;
      return [{ kind: 'violation', seen, events: [ready.seq, stop.seq] }];
    });
  });
}

/** Events of QEMU after which a guest may not want its rings any more. */
const guestEvents: ReadonlySet<string> = new Set(['RESET', 'SHUTDOWN', 'POWERDOWN', 'STOP', 'GUEST_PANICKED']);

/** The same for a guest that the tester does not drive: the rings that it had, unless it was reset meanwhile. */
function overdueOfGuest(t: Timeline, view: SessionView): { started: number; breaks: Break[] } {
  const complete = view.handshake.complete;
  const started = t.of('ring.start', view.session).length;
  // Without a monitor nobody knows whether it was.
  if (!complete || !t.first('qmp.ready') || stuck(view) || lack(t, view)) return { started, breaks: [] };
  const ran = t.last('ring.start', () => true, view.open.seq)?.seq;
  const changed = t.first('qmp.event', ({ event }) => guestEvents.has(event), ran)?.t ?? Infinity;
  const deaf = t.first('qmp.lost', () => true, ran)?.t ?? Infinity;
  const until = Math.min(view.to, horizon(t).t, changed, deaf);
  const breaks = guestRings(t, view).flatMap((index): Break[] => {
    const start = t.of('ring.start', view.session).find((event) => event.ring === index);
    const wait = unowed(t, complete.t, Math.min(start?.t ?? Infinity, until));
    if (wait <= RINGS_MS) return [];
    const what = start ? `started ring ${index} only after` : `did not start ring ${index} in`;
    const seen = `session ${view.session}: QEMU ${what} ${ms(wait)}, which ran before`;
    return [{ kind: 'violation', seen, events: [complete.seq, ...(start ? [start.seq] : [])] }];
  });
  return { started, breaks };
}

export const R20: Requirement = {
  id: 'R20',
  title: 'Rings are set up for a driver, completely and in order',
  sentence:
    'With a driver that is up QEMU sets up every ring after the handshake, and again after what stopped it: features, memory, then size, base and addresses of a ring before its kick; without a driver it sets up none.',
  level: 'must',
  label: 'contract',
  sources: [
    'spec:Ring states',
    'qemu:hw/net/vhost_net.c#vhost_net_start',
    'qemu:hw/virtio/vhost.c#vhost_virtqueue_start',
  ],
  allowed: `SET_VRING_ENABLE before or after the rings, BASE and ADDR in either order; all rings within ${RINGS_MS} ms, of what held them back as well.`,
  judge(t) {
    const sessions = servedSessions(t).filter((view) => view.received.length > 0);
    if (sessions.length === 0) return notApplicable('no message came on any connection');
    const results = sessions.map((view) => (unseenGuest(t) ? overdueOfGuest : overdue)(t, view));
    const breaks = [
      ...sessions.flatMap((view) => [...misplaced(t, view), ...forsaken(t, view)]),
      ...results.flatMap((result) => result.breaks),
    ];
    const started = results.reduce((sum, result) => sum + result.started, 0);
    const driven = t.first('driver.ready') !== undefined || (unseenGuest(t) && started > 0);
    if (breaks.length === 0 && driven && started === 0)
      return notApplicable('no handshake was completed with a driver up');
    const what = driven ? `${counted(started, 'ring')} started in` : 'no ring was set up without a driver in';
    const starts = sessions.flatMap((view) => t.of('ring.start', view.session)[0]?.seq ?? []);
    return judged(breaks, hold(`${what} ${counted(sessions.length, 'session')}`, starts));
  },
};

/** Rings of the driver that were started and then not enabled, or late; every start counts. */
function disabled(t: Timeline, view: SessionView): { enabled: number; breaks: Break[] } {
  const breaks: Break[] = [];
  let enabled = 0;
  for (const period of driverPeriods(t)) {
    const { ready, toSeq, to } = period;
    if (!ready || ready.seq > view.toSeq || toSeq < view.open.seq) continue;
    const until = Math.min(view.to, to, horizon(t).t);
    const starts = t.of('ring.start', view.session).filter((e) => e.seq > negotiatedSeq(period) && e.seq < toSeq);
    for (const start of starts) {
      const index = start.ring;
      const stop = t.of('ring.stop', view.session).find((e) => e.ring === index && e.seq > start.seq);
      if (index >= 2 * pairsBetween(t, ready, start.seq, stop?.seq ?? view.toSeq).least) continue;
      const running = spansIn(t, view.session).find(
        (span) => span.ring === index && span.toSeq > start.seq && span.fromSeq < (stop?.seq ?? Infinity),
      );
      if (running) enabled++;
      else if (stuck(view)) continue;
      const from = Math.max(start.t, ready.t);
      const over = Math.min(running?.from ?? Infinity, stop?.t ?? Infinity, until);
      const wait = unowed(t, from, over);
      if (wait <= RINGS_MS) continue;
      const what = running ? `enabled it only after` : `did not enable it in`;
      const seen = `session ${view.session}: QEMU started ring ${index} and ${what} ${ms(wait)}`;
      breaks.push({ kind: 'violation', seen, events: [start.seq, ...(running ? [running.fromSeq] : [])] });
    }
  }
  return { enabled, breaks };
}

/** Rings that were enabled although the driver, which is up, does not use their queue pair. */
function unusedEnabled(t: Timeline, view: SessionView): Break[] {
  return t
    .of('ring.enable', view.session)
    .filter(({ enabled }) => enabled)
    .flatMap(({ seq, ring }) => {
      const { ready } = periodAt(t, seq);
      if (!ready || ready.seq > seq) return [];
      const { most } = pairsBetween(t, ready, seq, seq);
      if (ring < 2 * most) return [];
      const seen = `session ${view.session}: QEMU enabled ring ${ring}, and the guest uses ${counted(most, 'queue pair')}`;
      return [{ kind: 'violation', seen, events: [ready.seq, seq] }];
    });
}

/** Rings that were disabled although the driver, which nobody holds back, uses their queue pair. */
function usedDisabled(t: Timeline, view: SessionView): Break[] {
  return t
    .of('ring.enable', view.session)
    .filter(({ enabled }) => !enabled)
    .flatMap(({ seq, ring }) => {
      const { ready } = periodAt(t, seq);
      if (!ready || ready.seq > seq || freeSince(t, seq) === undefined) return [];
      const { least } = pairsBetween(t, ready, seq, seq);
      if (ring >= 2 * least) return [];
      const seen = `session ${view.session}: QEMU disabled ring ${ring}, and the guest uses ${counted(least, 'queue pair')}`;
      return [{ kind: 'violation', seen, events: [ready.seq, seq] }];
    });
}

/** Rings of a connection, which ran when the guest changed its number of pairs, that QEMU did not disable or enable for it in time. */
function unfollowed(t: Timeline, view: SessionView): Break[] {
  const { session } = view;
  const states = [...t.of('ring.start', session), ...t.of('ring.enable', session)].sort((a, b) => a.seq - b.seq);
  return t.all('driver.pairs').flatMap(({ pairs, answered, t: from, seq }) => {
    const { ready, to } = periodAt(t, seq);
    if (!answered || !ready || seq < view.open.seq || seq > view.toSeq) return [];
    // Without protocol features a ring that is started is enabled.
    if (freeSince(t, seq) === undefined || stuck(view) || !protocolAck(view, seq)) return [];
    const changed = t.first('driver.pairs', () => true, seq)?.t ?? Infinity;
    const started = startedAt(t, view, seq);
    return ringsOf(ready).flatMap(({ index }): Break[] => {
      const wanted = index < 2 * pairs;
      const own = states.filter(({ ring }) => ring === index);
      if (!started.includes(index) || own.findLast((e) => e.seq < seq)?.enabled === wanted) return [];
      const stop = t.of('ring.stop', session).find((e) => e.ring === index && e.seq > seq);
      const done = own.find((e) => e.seq > seq && e.enabled === wanted);
      const until = Math.min(done?.t ?? Infinity, stop?.t ?? Infinity, changed, view.to, to, horizon(t).t);
      const wait = unowed(t, from, until);
      if (wait <= PAIRS_MS) return [];
      const what = `${wanted ? 'enable' : 'disable'} ring ${index} in ${ms(wait)}`;
      const seen = `session ${session}: QEMU did not ${what}, and the guest changed to ${counted(pairs, 'queue pair')}`;
      return [{ kind: 'violation', seen, events: [seq, ...(done ? [done.seq] : [])] }];
    });
  });
}

/** Commands of the guest that were refused while a peer was there: its number of queue pairs, of those that it has set up. */
function refusedCommands(t: Timeline, view: SessionView): Break[] {
  if (stuck(view)) return [];
  return t
    .all('driver.broken')
    .filter(({ rule, seq }) => rule === 'command' && seq > view.open.seq && seq < view.toSeq)
    .map(({ what, seq }) => ({
      kind: 'violation',
      seen: `session ${view.session}: the guest's ${what}`,
      events: [seq],
    }));
}

export const R27: Requirement = {
  id: 'R27',
  title: 'Rings in use are enabled',
  sentence:
    'Every ring of the queue pairs that the guest uses is enabled on every connection, and stays so; no ring of another pair is. So it is, too, when the guest changes their number, which the device does not refuse.',
  level: 'must',
  label: 'spec',
  sources: [
    'spec:Ring states',
    'defect:vring-enable-not-restored',
    'qemu:hw/virtio/vhost-user.c#vhost_user_set_vring_enable',
    'qemu:hw/net/virtio-net.c#virtio_net_set_queue_pairs',
  ],
  allowed: `SET_VRING_ENABLE 1 before or after the ring is started, within ${RINGS_MS} ms of it; without protocol features the start itself. On rings that run, within ${PAIRS_MS} ms of the device's answer to the guest; not while the virtual machine or its link is held back by command.`,
  judge(t) {
    const sessions = servedSessions(t);
    const results = sessions.map((view) => disabled(t, view));
    const breaks = [
      ...results.flatMap((result) => result.breaks),
      ...sessions.flatMap((view) => [
        ...unusedEnabled(t, view),
        ...usedDisabled(t, view),
        ...unfollowed(t, view),
        ...refusedCommands(t, view),
      ]),
    ];
    const enabled = results.reduce((sum, result) => sum + result.enabled, 0);
    const starts = t.all('ring.start').map(({ seq }) => seq);
    if (breaks.length === 0 && enabled === 0) return notApplicable('no ring of a driver that is up was started');
    return judged(breaks, hold(`${counted(enabled, 'ring')} started and enabled`, starts));
  },
};
