import type { Timeline } from '../timeline/index.js';
import { bit, FLAG_NEED_REPLY, VHOST_USER_PROTOCOL_F_REPLY_ACK } from '../wire/index.js';
import { type Break, counted, hold, judged, ms, notApplicable } from './judgement.js';
import type { Requirement } from './requirement.js';
import {
  ackedProtocol,
  answered,
  expectsReply,
  replyTo,
  type SessionView,
  servedSessions,
  stuck,
  unowed,
} from './sessions.js';
import { mayRefuse } from './sufficiency.js';
import { horizon } from './timing.js';

/**
 * From the peer's answer, or the message before where none was due, to QEMU's next message. Microseconds as a rule, but
 * real QEMUs paused 250-673 ms after the first answer on a busy machine.
 */
const STEP_MS = 2000;

/** When QEMU could go on after message number `i`: it was answered, or sent when no answer is due. Undefined while it waits. */
function free(view: SessionView, i: number): number | undefined {
  const message = view.received[i]!;
  return expectsReply(message) ? answered(view, message)?.t : message.t;
}

/** Pauses between the messages of the handshake, and the wait for one that never came. */
function pauses(t: Timeline, view: SessionView): Break[] {
  const { complete, next } = view.handshake;
  const breaks: Break[] = [];
  const check = (from: number | undefined, to: number, what: string, events: number[]) => {
    const pause = from === undefined ? 0 : unowed(t, from, to);
    if (pause > STEP_MS) breaks.push({ kind: 'hang', seen: `session ${view.session}: ${ms(pause)} ${what}`, events });
  };
  // A dialled connection is accepted when it is its turn: R6 and R7 see to that.
  let since = view.open.by === 'accept' ? view.open.t : undefined;
  let before = view.open.seq;
  for (const [i, message] of view.received.entries()) {
    check(since, message.t, `before ${message.name}`, [before, message.seq]);
    if (message.seq === complete?.seq) return breaks;
    since = free(view, i);
    before = message.seq;
  }
  if (next !== undefined && !stuck(view)) check(since, Math.min(view.to, horizon(t).t), `without ${next}`, [before]);
  return breaks;
}

/** What the peer answered, by message: equal answers deserve equal treatment. */
function answers(view: SessionView, upTo = Infinity): Map<string, string> {
  const known = new Map<string, string>();
  for (const { seq, name, flags, body } of view.replies)
    if (seq <= upTo) known.set(name, JSON.stringify([flags, body]));
  return known;
}

/** QEMU closed in the middle of a handshake although the peer answered as in another that QEMU completed. */
function abandoned(t: Timeline, view: SessionView): Break[] {
  const { complete, deviation, messages } = view.handshake;
  const last = messages.at(-1);
  if (complete || deviation || !last || view.close?.by !== 'front-end' || view.close.t >= horizon(t).t) return [];
  if (stuck(view) || mayRefuse(t, view)) return [];
  const given = [...answers(view)];
  const twin = servedSessions(t).find((other) => {
    if (!other.handshake.complete) return false;
    const accepted = answers(other, other.handshake.complete.seq);
    return given.every(([name, answer]) => accepted.get(name) === answer);
  });
  if (!twin) return [];
  const seen = `QEMU closed session ${view.session} after ${last.name}, with the answers that it accepted in session ${twin.session}`;
  return [{ kind: 'violation', seen, events: [last.seq, view.close.seq] }];
}

export const R18: Requirement = {
  id: 'R18',
  title: 'The handshake is complete and in order',
  sentence:
    'Every connection begins with GET_FEATURES and the whole handshake in its order, for each queue pair, without a pause.',
  level: 'must',
  label: 'contract',
  sources: [
    'qemu:hw/virtio/vhost-user.c#vhost_user_backend_init',
    'qemu:hw/virtio/vhost.c#vhost_dev_init',
    'defect:stray-messages-on-new-connection',
  ],
  allowed: `The order of QEMU 5.2 and later (SET_VRING_ERR from 7.1); GET_QUEUE_NUM, GET_MAX_MEM_SLOTS and SET_BACKEND_REQ_FD as negotiated, status messages anywhere; pauses up to ${STEP_MS} ms.`,
  judge(t) {
    const sessions = servedSessions(t).filter((view) => view.received.length > 0 || view.open.by === 'accept');
    if (sessions.length === 0) return notApplicable('no message came on any connection');
    const breaks: Break[] = sessions.flatMap((view) => {
      const { deviation } = view.handshake;
      if (!deviation) return [...pauses(t, view), ...abandoned(t, view)];
      const { message, expected } = deviation;
      const seen = `session ${view.session}: message ${message.index} is ${message.name} where ${expected} was due`;
      return [{ kind: 'violation' as const, seen, events: [view.open.seq, message.seq] }];
    });
    const complete = sessions.filter((view) => view.handshake.complete);
    const cut = sessions.length - complete.length;
    return judged(
      breaks,
      hold(
        `${counted(complete.length, 'complete handshake')}${cut > 0 ? `, ${cut} in order up to where they were cut` : ''}`,
        complete.map((view) => view.handshake.complete!.seq),
      ),
    );
  },
};

/** What no front-end sends before it is the owner. */
const AFTER_OWNER = /^SET_(VRING_\w+|MEM_TABLE|FEATURES)$/;

export const R21: Requirement = {
  id: 'R21',
  title: 'SET_OWNER comes once',
  sentence: 'SET_OWNER is sent exactly once on every connection.',
  level: 'must',
  label: 'spec',
  sources: ['spec:Front-end message types, VHOST_USER_SET_OWNER', 'qemu:hw/virtio/vhost-user.c#vhost_user_set_owner'],
  allowed: 'One SET_OWNER by the end of the handshake and no other after it.',
  judge(t) {
    const sessions = servedSessions(t).filter((view) => view.received.length > 0);
    const complete = sessions.filter((view) => view.handshake.complete);
    const owners = (view: SessionView) => view.received.filter((message) => message.name === 'SET_OWNER');
    const breaks: Break[] = sessions.flatMap((view) => {
      const all = owners(view);
      const past = view.received.filter(({ name }) => AFTER_OWNER.test(name));
      if (all.length === 1 || (all.length === 0 && past.length === 0)) return [];
      const seen = `session ${view.session} got SET_OWNER ${all.length} times`;
      return [
        {
          kind: 'violation' as const,
          seen,
          events: [view.open.seq, ...all.map(({ seq }) => seq), ...past.slice(0, 1).map(({ seq }) => seq)],
        },
      ];
    });
    if (breaks.length === 0 && complete.length === 0) return notApplicable('no handshake was completed');
    const events = complete.flatMap((view) => owners(view).map((message) => message.seq));
    return judged(breaks, hold(`one SET_OWNER in each of ${counted(complete.length, 'session')}`, events));
  },
};

export const R28: Requirement = {
  id: 'R28',
  title: 'Acknowledgements are negotiated and waited for',
  sentence:
    'QEMU asks for acknowledgements only after it acked REPLY_ACK on the connection, and waits for each of them.',
  level: 'must',
  label: 'spec',
  sources: ['spec:VHOST_USER_PROTOCOL_F_REPLY_ACK', 'qemu:hw/virtio/vhost-user.c#process_message_reply'],
  allowed: 'NEED_REPLY on any message after REPLY_ACK was acked; nothing else from QEMU before the answer.',
  judge(t) {
    const asking = servedSessions(t).flatMap((view) =>
      view.received.filter(({ flags }) => (flags & FLAG_NEED_REPLY) !== 0).map((message) => ({ view, message })),
    );
    if (asking.length === 0) return notApplicable('QEMU asked for no acknowledgement');
    const breaks: Break[] = asking.flatMap(({ view, message }) => {
      const found: Break[] = [];
      const about = `session ${view.session}: ${message.name} (message ${message.index})`;
      if ((ackedProtocol(view, message.seq) & bit(VHOST_USER_PROTOCOL_F_REPLY_ACK)) === 0n)
        found.push({
          kind: 'violation',
          seen: `${about} has NEED_REPLY, but REPLY_ACK was not acked`,
          events: [message.seq],
        });
      const reply = replyTo(view, message);
      const answer = answered(view, message);
      if (reply?.ahead !== undefined) {
        const seen = `${about} was followed by ${reply.ahead} more bytes before its answer`;
        found.push({ kind: 'violation', seen, events: [message.seq, reply.seq] });
      }
      const next = view.received.find((other) => other.seq > message.seq);
      if (next && next.seq < (answer?.seq ?? Infinity)) {
        const seen = `${about} was followed by ${next.name} before its answer`;
        found.push({ kind: 'violation', seen, events: [message.seq, next.seq] });
      }
      return found;
    });
    const names = [...new Set(asking.map(({ message }) => message.name))].join(', ');
    return judged(
      breaks,
      hold(
        `${counted(asking.length, 'acknowledgement')} waited for: ${names}`,
        asking.map(({ message }) => message.seq),
      ),
    );
  },
};
