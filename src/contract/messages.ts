import type { Timeline } from '../timeline/index.js';
import { bit, VHOST_USER_PROTOCOL_F_XEN_MMAP } from '../wire/index.js';
import { bigIn, listIn } from './body.js';
import { type Break, counted, hold, judged, notApplicable } from './judgement.js';
import type { Requirement } from './requirement.js';
import { lastReply, type SessionView, servedSessions } from './sessions.js';

/** Codes of the peer's and the wire's errors that are about the message itself, not about what the guest put on a ring. */
const MALFORMED = /^ERR_(WIRE_\w+|FDS|RING|RING_BASE|PROTOCOL|NOT_OFFERED)$/;

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
        const answer = lastReply(view, offer, message.seq);
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

/** Bytes of a memory region, without and with the two members that XEN_MMAP adds. */
const REGION = 32;
const XEN_REGION = 40;

/** Memory regions of the usual form, although XEN_MMAP was acked: the peer would take the next region's head for the rest. */
function plainRegions(view: SessionView): Break[] {
  let xen = false;
  return view.received.flatMap((message): Break[] => {
    const { name, body, size, index, seq } = message;
    if (name === 'SET_PROTOCOL_FEATURES')
      xen = ((bigIn(body, 'value') ?? 0n) & bit(VHOST_USER_PROTOCOL_F_XEN_MMAP)) !== 0n;
    const regions = name === 'SET_MEM_TABLE' ? listIn(body, 'regions').length : name === 'ADD_MEM_REG' ? 1 : 0;
    if (!xen || regions === 0 || size !== 8 + regions * REGION) return [];
    const seen = `session ${view.session}: ${name} (message ${index}) has regions of ${REGION} bytes, ${XEN_REGION} with XEN_MMAP, which was acked`;
    return [{ kind: 'violation', seen, events: [seq] }];
  });
}

export const R22: Requirement = {
  id: 'R22',
  title: 'Messages are well formed and ack only what is offered',
  sentence:
    'Every message has the form that the specification gives it with the features that were acked, and acks no feature that this peer did not offer.',
  level: 'must',
  label: 'spec',
  sources: [
    'spec:SET_PROTOCOL_FEATURES',
    'spec:Message Specification',
    'spec:Memory region description',
    'qemu:hw/virtio/vhost-user.c#vhost_user_backend_init',
  ],
  allowed:
    'Fewer features than offered; messages that the specification does not know, as long as they can be skipped.',
  judge(t: Timeline) {
    const sessions = servedSessions(t);
    const messages = sessions.flatMap(({ received }) => received);
    const last = messages.at(-1);
    if (!last) return notApplicable('no message was received');
    const breaks = sessions.flatMap((view) => [...excess(view), ...refused(view), ...plainRegions(view)]);
    return judged(breaks, hold(counted(messages.length, 'well-formed message'), [last.seq]));
  },
};
