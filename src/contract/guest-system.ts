import { type EventOf, firstIndex, type Ms, type Timeline } from '../timeline/index.js';
import { flagIn } from './body.js';
import { unseenGuest } from './guest-state.js';
import { type Break, counted, hold, judged, ms, notApplicable } from './judgement.js';
import type { Requirement } from './requirement.js';
import { guestRings, spansIn } from './ring-spans.js';
import { type SessionView, servedSessions, unowed } from './sessions.js';
import { horizon, perTimeline, type Span, uncovered } from './timing.js';

/**
 * From running rings, or an answered ping, to the next one that is answered. Measured some 100 ms; Linux takes up to a second
 * for a carrier that came back soon after it had gone (net/core/link_watch.c), and a guest without KVM is slow.
 */
const PING_MS: Ms = 5000;

/** When the guest was not up, or the machine or its link were stopped by command: nobody can expect pings of it then. */
const held = perTimeline((t: Timeline): readonly Span[] => {
  const state = { up: false, stopped: false, linkDown: false };
  const spans: Span[] = [];
  let since: Ms | undefined = 0;
  for (const event of t.events) {
    if (event.type === 'guest.ready') state.up = true;
    else if (event.type === 'qmp.command') Object.assign(state, byCommand(event));
    else if (event.type === 'qmp.event') Object.assign(state, BY_EVENT[event.event]);
    else continue;
    const free = state.up && !state.stopped && !state.linkDown;
    if (free && since !== undefined) spans.push({ from: since, to: event.t });
    since = free ? undefined : (since ?? event.t);
  }
  if (since !== undefined) spans.push({ from: since, to: Infinity });
  return spans;
});

/** What QEMU tells of it, whoever had it done: the guest itself, another monitor, a migration. */
const BY_EVENT: Readonly<Record<string, object>> = {
  STOP: { stopped: true },
  RESUME: { stopped: false },
  RESET: { up: false },
};

/** What a command does to it, from its being sent on: a set_link is told by no event, and the others' come after it. */
function byCommand({ execute, arguments: args }: EventOf<'qmp.command'>): object {
  if (execute === 'set_link') return { linkDown: !flagIn(args ?? null, 'up') };
  if (execute === 'system_reset') return { up: false };
  return execute === 'stop' ? { stopped: true } : execute === 'cont' ? { stopped: false } : {};
}

/** Between these the guest was up, its rings ran, and nobody held it back: pings ought to be answered. */
function stretches(t: Timeline, view: SessionView): Span[] {
  const whole = { from: view.open.t, to: Math.min(view.to, horizon(t).t) };
  const ran = spansIn(t, view.session);
  if (ran.length === 0) return [];
  const rings = new Set([...guestRings(t, view), ...ran.map(({ ring }) => ring)]);
  const still = [...rings].flatMap((ring) =>
    uncovered(
      whole,
      ran.filter((span) => span.ring === ring),
    ),
  );
  return uncovered(whole, [...held(t), ...still]);
}

/** The pings that were answered after `from` and up to `to`. */
function pingsBetween(t: Timeline, from: Ms, to: Ms): readonly EventOf<'guest.ping'>[] {
  const all = t.all('guest.ping');
  const after = (time: Ms) => firstIndex(all, (ping) => ping.t > time);
  return all.slice(after(from), after(to));
}

/** Times in which pings ought to have been answered and were not, longer than the bound. */
function silences(t: Timeline, view: SessionView): Break[] {
  return stretches(t, view).flatMap(({ from, to }) => {
    const { seq } = t.events[firstIndex(t.events, (event) => event.t >= from)]!;
    const pings = pingsBetween(t, from, to);
    const points = [{ t: from, seq }, ...pings, { t: to, seq: -1 }];
    return points.slice(1).flatMap((point, i): Break[] => {
      const before = points[i]!;
      const wait = unowed(t, before.t, point.t);
      if (wait <= PING_MS) return [];
      const since = i === 0 ? 'the guest and its rings ran' : 'the one before';
      const what = point.seq < 0 ? 'none was answered' : 'the next one was answered only';
      return [
        {
          kind: 'violation',
          seen: `session ${view.session}: of the guest’s pings ${what} ${point.seq < 0 ? 'for ' : ''}${ms(wait)} after ${since}`,
          events: point.seq < 0 ? [before.seq] : [before.seq, point.seq],
        },
      ];
    });
  });
}

export const T5: Requirement = {
  id: 'T5',
  title: 'A guest’s pings are answered',
  sentence:
    'A guest of its own that pings has its answers while the rings run: from its start, and again after every return of the back-end.',
  level: 'must',
  label: 'contract',
  sources: ['qemu:hw/net/vhost_net.c#vhost_net_start', 'qemu:net/vhost-user.c#net_vhost_user_event'],
  allowed: `Up to ${PING_MS} ms without an answer while the guest is up, the machine runs and all rings run. Not judged without a word of the guest’s on its pings.`,
  judge(t) {
    const ready = t.first('guest.ready');
    if (!unseenGuest(t) || !ready) return notApplicable('no guest told of its pings');
    const views = servedSessions(t);
    const breaks = views.flatMap((view) => silences(t, view));
    const pings = t.all('guest.ping');
    if (breaks.length === 0 && pings.length === 0) return notApplicable('no ping had time for its answer');
    const sessions = views.filter((view) => pingsBetween(t, view.open.t, view.to).length > 0);
    return judged(breaks, hold(`${counted(pings.length, 'ping')} answered in ${counted(sessions.length, 'session')}`));
  },
};

/** What a machine that is too slow for its guest, or has too little memory for it, shows as well. */
const NOT_QEMUS: ReadonlySet<string> = new Set(['lockup', 'hung-task', 'memory']);

/** A queue that does not send is the back-end's doing while that serves no ring, and for as long as the watchdog waits after it. */
const WATCHDOG_MS: Ms = 10_000;

function ofFault(t: Timeline, trouble: EventOf<'guest.trouble'>): boolean {
  if (trouble.what !== 'tx-timeout') return false;
  const fault = t.last('peer.fault', () => true, trouble.seq);
  if (!fault) return false;
  const end =
    t.first('peer.resumed', ({ session }) => session === fault.session, fault.seq) ??
    t.first('session.close', ({ session }) => session === fault.session, fault.seq);
  return (end?.t ?? Infinity) + WATCHDOG_MS > trouble.t;
}

export const R43: Requirement = {
  id: 'R43',
  title: 'The guest’s kernel has nothing to complain of',
  sentence:
    'A loss of the back-end and its return leave a guest of its own without an oops, a warning, a broken ring, a queue that does not send or an interrupt that nobody handles.',
  level: 'must',
  label: 'contract',
  sources: ['spec:Ring states', 'qemu:hw/virtio/vhost.c#vhost_virtqueue_stop'],
  allowed:
    'Nothing of that kind. Locked-up CPUs, hung tasks and a lack of memory are not counted: a machine that is too slow or too small looks the same. Nor is a queue that did not send while the back-end was at fault.',
  judge(t) {
    if (!unseenGuest(t) || !t.first('guest.ready')) return notApplicable('no guest’s kernel was heard');
    const all = t.all('guest.trouble');
    const counting = all.filter((trouble) => !NOT_QEMUS.has(trouble.what) && !ofFault(t, trouble));
    const breaks = counting.map(
      ({ what, line, seq }): Break => ({
        kind: 'violation',
        seen: `the guest’s kernel: ${what}: ${line}`,
        events: [seq],
      }),
    );
    const other = all.length - counting.length;
    return judged(
      breaks,
      hold(
        other === 0 ? 'no complaint' : `no complaint that counts, ${other} of a slow machine or a back-end at fault`,
      ),
    );
  },
};
