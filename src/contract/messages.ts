import type { Timeline } from '../timeline/index.js';
import { bigIn } from './body.js';
import { type Break, counted, hold, judged, notApplicable } from './judgement.js';
import type { Requirement } from './requirement.js';
import { type SessionView, servedSessions } from './sessions.js';

/** Codes of the peer's and the wire's errors that are about the message itself, not about what the guest put on a ring. */
const MALFORMED = /^ERR_(WIRE_\w+|FDS|RING|PROTOCOL|NOT_OFFERED)$/;

/** What a message acks, and which answer says what may be acked. */
const ACKS = { SET_FEATURES: 'GET_FEATURES', SET_PROTOCOL_FEATURES: 'GET_PROTOCOL_FEATURES' } as const;

function refused({ close }: SessionView): Break[] {
  if (close?.code === undefined || !MALFORMED.test(close.code)) return [];
  return [{ kind: 'violation', seen: `session ${close.session}: ${close.error}`, events: [close.seq] }];
}

function excess(view: SessionView): Break[] {
  return Object.entries(ACKS).flatMap(([ack, offer]) =>
    view.received
      .filter(({ name }) => name === ack)
      .flatMap((message) => {
        const answer = view.replies.findLast((reply) => reply.name === offer && reply.seq < message.seq);
        const acked = bigIn(message.body, 'value');
        const offered = answer && bigIn(answer.body, 'value');
        if (acked === undefined || answer === undefined || offered === undefined) return [];
        const more = acked & ~offered;
        if (more === 0n) return [];
        const seen = `session ${view.session}: ${ack} acks 0x${more.toString(16)}, which the peer did not offer`;
        return [{ kind: 'violation' as const, seen, events: [answer.seq, message.seq] }];
      }),
  );
}

export const R22: Requirement = {
  id: 'R22',
  title: 'Messages are well formed and ack only what is offered',
  sentence:
    'Every message has the form that the specification gives it, and acks no feature that this peer did not offer.',
  level: 'must',
  label: 'spec',
  sources: [
    'spec:SET_PROTOCOL_FEATURES',
    'spec:Message Specification',
    'qemu:hw/virtio/vhost-user.c#vhost_user_backend_init',
  ],
  allowed:
    'Fewer features than offered; messages that the specification does not know, as long as they can be skipped.',
  judge(t: Timeline) {
    const sessions = servedSessions(t);
    const messages = sessions.flatMap(({ received }) => received);
    const last = messages.at(-1);
    if (!last) return notApplicable('no message was received');
    const breaks = sessions.flatMap((view) => [...excess(view), ...refused(view)]);
    return judged(breaks, hold(counted(messages.length, 'well-formed message'), [last.seq]));
  },
};
