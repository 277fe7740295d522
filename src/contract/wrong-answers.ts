import type { EventOf, Timeline } from '../timeline/index.js';
import { type Break, counted, hold, judged, notApplicable } from './judgement.js';
import type { Requirement } from './requirement.js';
import { expectsReply, refusal, replyTo, type SessionView, servedSessions } from './sessions.js';

/** What a QEMU that believes a size of gigabytes would take; a QEMU with 64 MiB of guest RAM grows by a few MiB in a run. */
const GREEDY_BYTES = 1 << 30;

type Message = EventOf<'wire.recv'>;

/** A message whose answer QEMU must not take for one, and what it got. */
interface Spoilt {
  message: Message;
  got: string;
  /** The event that tells what is wrong. */
  seq: number;
  /** When it got that in place of an answer; a peer deals with a message before. */
  at: number;
}

/** The request number at the head of the bytes, where they are a whole message of their own. */
function requestIn(bytes: string | undefined): number | undefined {
  const all = Buffer.from(bytes ?? '', 'hex');
  return all.length === 20 && all.readUInt32LE(8) === 8 ? all.readUInt32LE(0) : undefined;
}

/**
 * The first message that a fault leaves without an answer. Behind bytes that belong to none every answer is out of step; but
 * a reply too many cannot be told from the answer to the next message of the same kind.
 */
function spoiltBy(view: SessionView, fault: EventOf<'peer.fault'>): Spoilt | undefined {
  const { seq, what: got, spoils, tolerable } = fault;
  if (tolerable) return undefined;
  const stale = requestIn(fault.bytes);
  const message =
    spoils === 'answer'
      ? view.received.findLast((one) => one.seq < seq && one.name === fault.message)
      : spoils === 'stream'
        ? view.received.find((one) => one.seq > seq && expectsReply(one) && one.request !== stale)
        : undefined;
  return message && { message, got, seq, at: Math.max(seq, replyTo(view, message)?.seq ?? message.seq) };
}

function refused(view: SessionView): Spoilt[] {
  const reply = refusal(view);
  const message = reply && view.received.findLast((one) => one.seq < reply.seq && one.request === reply.request);
  return reply && message ? [{ message, got: 'a refusal', seq: reply.seq, at: reply.seq }] : [];
}

/** QEMU went on as if it had been answered: to the end of the handshake, or to a ring of the same start. */
function wentOn(t: Timeline, view: SessionView, { message, got, seq, at }: Spoilt): Break[] {
  const about = `session ${view.session}: ${message.name} (message ${message.index}) got ${got}`;
  const { complete } = view.handshake;
  if (complete && complete.seq > message.seq)
    return [{ kind: 'violation', seen: `${about}, and QEMU completed the handshake`, events: [seq, complete.seq] }];
  // Every start begins with the features.
  const again = view.received.find((one) => one.seq > message.seq && one.name === 'SET_FEATURES')?.seq ?? Infinity;
  const ring = t.first('ring.start', ({ session }) => session === view.session, at);
  if (!ring || ring.seq > again) return [];
  return [{ kind: 'violation', seen: `${about}, and QEMU started ring ${ring.ring}`, events: [seq, ring.seq] }];
}

/** How much more memory QEMU had at its most after a header announced gigabytes. */
function greedy(t: Timeline, fault: EventOf<'peer.fault'>): Break[] {
  if ((fault.announces ?? 0) < GREEDY_BYTES) return [];
  const sample = (one: EventOf<'proc.sample'> | undefined) => one?.peak ?? 0;
  const before = sample(t.last('proc.sample', ({ peak }) => peak !== undefined, fault.seq));
  const after = t.last('proc.sample', ({ peak }) => peak !== undefined);
  if (before === 0 || !after || sample(after) - before < GREEDY_BYTES) return [];
  const seen = `QEMU took ${Math.round((sample(after) - before) / 2 ** 20)} MiB after a header announced ${fault.announces} bytes`;
  return [{ kind: 'violation', seen, events: [fault.seq, after.seq] }];
}

export const R36: Requirement = {
  id: 'R36',
  title: 'What breaks the protocol is not taken for an answer',
  sentence:
    'An answer to another message, without the flag of a reply, of another version, or of a size that it cannot have, is not taken for one, nor is a refusal taken for consent: QEMU drops the back-end, or does without it until the next.',
  level: 'must',
  label: 'spec',
  sources: [
    'spec:Header',
    'spec:VHOST_USER_PROTOCOL_F_REPLY_ACK',
    'qemu:hw/virtio/vhost-user.c#vhost_user_read_header',
    'qemu:hw/virtio/vhost-user.c#process_message_reply',
    'qemu:tests/qtest/vhost-user-test.c#test_flags_mismatch',
    'defect:fragmented-garbage-replies',
  ],
  allowed: `After it neither the end of the handshake nor a ring of the same start; and no more than ${GREEDY_BYTES / 2 ** 20} MiB for a header that announces gigabytes. Free are bits of the flags beside version and reply, file descriptors that come with an answer, and the size of an acknowledgement.`,
  judge(t) {
    const views = servedSessions(t);
    const spoilt = views.flatMap((view) =>
      [...view.faults.flatMap((fault) => spoiltBy(view, fault) ?? []), ...refused(view)].map((one) => ({ view, one })),
    );
    const breaks = [
      ...spoilt.flatMap(({ view, one }) => wentOn(t, view, one)),
      ...t.all('peer.fault').flatMap((fault) => greedy(t, fault)),
    ];
    if (breaks.length === 0 && spoilt.length === 0) return notApplicable('every answer was one');
    return judged(
      breaks,
      hold(
        `${counted(spoilt.length, 'wrong answer')}, none taken`,
        spoilt.map(({ one }) => one.seq),
      ),
    );
  },
};
