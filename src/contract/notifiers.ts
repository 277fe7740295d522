import type { EventOf, Timeline } from '../timeline/index.js';
import { RING_EVENT_FLAGS_DISABLE, USED_F_NO_NOTIFY } from '../virtio/index.js';
import { flagIn } from './body.js';
import { periodAt, unseenGuest } from './guest-state.js';
import { type Break, counted, hold, judged, ms, notApplicable } from './judgement.js';
import type { Requirement } from './requirement.js';
import { spansOf } from './ring-spans.js';
import { ringOf, type SessionView, servedSessions, unowed } from './sessions.js';
import { horizon } from './timing.js';

/** From the guest's notification to the peer's eventfd, and from the peer's call to the guest's interrupt. */
const NOTIFY_MS = 1000;

const descriptors: ReadonlySet<string> = new Set(['SET_VRING_KICK', 'SET_VRING_CALL', 'SET_VRING_ERR']);

/** SET_VRING_KICK, SET_VRING_CALL and SET_VRING_ERR without a descriptor. */
function bare(t: Timeline): { messages: number; breaks: Break[] } {
  const messages = servedSessions(t).flatMap((view) => view.received.filter(({ name }) => descriptors.has(name)));
  const breaks: Break[] = messages
    .filter((message) => message.fds === 0 || flagIn(message.body, 'noFd'))
    .map((message) => ({
      kind: 'violation',
      seen: `session ${message.session}: ${message.name} of ring ${ringOf(message)} came without a file descriptor`,
      events: [message.seq],
    }));
  return { messages: messages.length, breaks };
}

/** Rings that were given an eventfd that another ring of the session has: who is told by it, nobody can tell. */
function shared(view: SessionView): Break[] {
  const owners = new Map<string, EventOf<'wire.recv'>>();
  return view.received.flatMap((message): Break[] => {
    const { name, eventfd, seq } = message;
    const of = (which: string) => `${which} of ring ${ringOf(message)}`;
    const key = of(name);
    // A ring that stops lets go of them, and the kernel uses their numbers again.
    if (name === 'GET_VRING_BASE') for (const which of ['SET_VRING_KICK', 'SET_VRING_CALL']) owners.delete(of(which));
    if (name === 'RESET_OWNER' || name === 'RESET_DEVICE') owners.clear();
    if (name !== 'SET_VRING_KICK' && name !== 'SET_VRING_CALL') return [];
    owners.delete(key);
    const other = [...owners].find(([, owner]) => owner.eventfd === eventfd);
    owners.set(key, message);
    if (eventfd === undefined || !other) return [];
    const seen = `session ${view.session}: ${key} came with the eventfd of ${other[0]}`;
    return [{ kind: 'violation', seen, events: [other[1].seq, seq] }];
  });
}

/** Notifications of the guest that never reached a ring that ran. Notifications close together arrive as one. */
function lostKicks(t: Timeline): { kicks: number; breaks: Break[] } {
  const end = horizon(t).t;
  const arrived = t.all('ring.kick');
  let kicks = 0;
  const breaks: Break[] = [];
  for (const kick of t.all('driver.kick')) {
    const span = spansOf(t, kick.ring).find((s) => s.from <= kick.t && kick.t < s.to);
    if (!span) continue;
    kicks++;
    const arrival = arrived.find((e) => e.ring === kick.ring && e.session === span.session && e.seq > kick.seq);
    const until = Math.min(arrival?.t ?? Infinity, span.to, end);
    const wait = unowed(t, kick.t, until);
    if (wait <= NOTIFY_MS) continue;
    const what = arrival ? `arrived only after ${ms(wait)}` : `did not arrive in ${ms(wait)}`;
    const events = arrival ? [kick.seq, arrival.seq] : [kick.seq];
    breaks.push({ kind: 'violation', seen: `the guest's kick of ring ${kick.ring} ${what}`, events });
  }
  return { kicks, breaks };
}

/**
 * Calls that brought the guest no interrupt in time; an interrupt serves all calls before it. That the peer left since is no
 * excuse: QEMU looks once more at a call descriptor before it lets go of it (virtio_queue_set_guest_notifier_fd_handler).
 */
function lostCalls(t: Timeline): { served: number[]; breaks: Break[] } {
  const served: number[] = [];
  const breaks: Break[] = [];
  const end = horizon(t).t;
  let through = -1;
  for (const call of t.all('ring.call')) {
    if (call.seq < through) continue;
    const interrupt = t.first('driver.interrupt', ({ isr }) => (isr & 1) !== 0, call.seq);
    const { toSeq: resetSeq, to: reset } = periodAt(t, call.seq);
    through = Math.min(interrupt?.seq ?? Infinity, resetSeq);
    // Not until the guest serves it: that takes round trips through QEMU's queue of commands, behind what it is sending.
    const raised = interrupt ? Math.max(call.t, interrupt.raised ?? interrupt.t) : Infinity;
    const wait = unowed(t, call.t, Math.min(raised, reset, end));
    if (wait > NOTIFY_MS) {
      const seen = `session ${call.session}: the call of ring ${call.ring} brought the guest no interrupt in ${ms(wait)}`;
      breaks.push({ kind: 'violation', seen, events: [call.seq] });
    } else if (interrupt?.seq === through) served.push(call.seq);
  }
  return { served, breaks };
}

/**
 * Rings that QEMU hands over with the word by which a device asks the guest not to kick. The peer never writes it, so that
 * it is left from QEMU's own device: a back-end that waits for kicks waits for ever, unless it clears the word.
 */
function muted(t: Timeline): Break[] {
  return t.all('ring.start').flatMap(({ session, ring, seq, usedFlags = 0, eventFlags }) => {
    const word =
      eventFlags === RING_EVENT_FLAGS_DISABLE
        ? "DISABLE in the device's event suppression"
        : (usedFlags & USED_F_NO_NOTIFY) !== 0
          ? 'NO_NOTIFY in its used ring'
          : undefined;
    if (word === undefined) return [];
    return { kind: 'violation', seen: `session ${session}: ring ${ring} starts with ${word}`, events: [seq] };
  });
}

export const R26: Requirement = {
  id: 'R26',
  title: 'Kicks and calls work on every connection',
  sentence:
    "SET_VRING_KICK, SET_VRING_CALL and SET_VRING_ERR carry a file descriptor on every connection, kicks and calls one of each ring's own; the guest is not told to keep its notifications to itself, they reach the peer, and the peer's calls interrupt the guest.",
  level: 'must',
  label: 'spec',
  sources: ['spec:Ring states', 'qemu:hw/virtio/vhost.c#vhost_virtqueue_start', 'defect:tx-kick-suppressed-by-qemu'],
  allowed: `Each within ${NOTIFY_MS} ms: a kick while the ring runs, a call also when the peer left since. Notifications close together may arrive as one.`,
  judge(t) {
    const { messages, breaks } = bare(t);
    const kicks = lostKicks(t);
    // Of a guest of its own nobody sees the interrupts.
    const calls = unseenGuest(t) ? { served: [], breaks: [] } : lostCalls(t);
    if (messages === 0) return notApplicable('no ring got a kick or call descriptor');
    return judged(
      [...breaks, ...servedSessions(t).flatMap(shared), ...muted(t), ...kicks.breaks, ...calls.breaks],
      hold(
        `${counted(messages, 'descriptor')}, ${counted(kicks.kicks, 'kick')} arrived, ${counted(calls.served.length, 'interrupt')}`,
        calls.served,
      ),
    );
  },
};
