import type { Event, EventOf, Ms, SessionSpan, Timeline } from '../timeline/index.js';
import { bit, FLAG_NEED_REPLY, specById, VHOST_USER_F_PROTOCOL_FEATURES } from '../wire/index.js';
import { atLeast, bigIn, contextOf, numberIn } from './body.js';
import { followHandshake, type Handshake, handshakeScript } from './handshake-script.js';
import { adding } from './removal.js';
import { hangs, horizon, merged, outside, perTimeline, type Span, shortages, spent } from './timing.js';

/** One session with its messages. */
export interface SessionView extends SessionSpan {
  /** Messages of the front-end. */
  received: readonly EventOf<'wire.recv'>[];
  /** Replies of the peer; those that its faults spoilt are not among them. */
  replies: readonly EventOf<'wire.send'>[];
  /** What the peer does wrong, or unusual, on purpose. */
  faults: readonly EventOf<'peer.fault'>[];
  handshake: Handshake;
  /** QEMU was short of file descriptors at some time of it, by the tester's doing. */
  short: boolean;
  /** When it ended: its close, or the end of the record. */
  to: Ms;
  toSeq: number;
}

/**
 * The tester notices that QEMU closed a connection when it reads the end of the stream, which can come after the first
 * message on the next connection. A close by the front-end may be recorded this much late.
 */
const NOTICE_MS = 250;

/** All sessions in the order of opening. */
export const sessionViews = perTimeline((t: Timeline): readonly SessionView[] => {
  const received = bySession(t.all('wire.recv'));
  const sent = bySession(t.all('wire.send'));
  const wrong = bySession(t.all('peer.fault'));
  return t.sessions.map((span) => {
    const messages = received.get(span.session) ?? [];
    const replies = (sent.get(span.session) ?? []).filter((message) => message.channel === 'reply');
    const to = span.close?.t ?? t.end;
    return {
      ...span,
      received: messages,
      replies,
      faults: wrong.get(span.session) ?? [],
      handshake: handshakeOf(t, messages, replies),
      short: shortages(t).some((shortage) => shortage.from < to && shortage.to > span.open.t),
      to,
      toSeq: span.close?.seq ?? t.events.length,
    };
  });
});

/** The sessions that are not a mere second client: the main ones, and others that QEMU came to serve. */
export const servedSessions = perTimeline((t: Timeline): readonly SessionView[] =>
  sessionViews(t).filter((view) => !view.open.extra || firstWord(view) !== undefined),
);

/** A served session that ended while QEMU was to go on. */
export interface Loss {
  view: SessionView;
  close: EventOf<'session.close'>;
}

/** The losses in order. What ends with QEMU itself is no loss. */
export const losses = perTimeline((t: Timeline): readonly Loss[] => {
  const end = horizon(t);
  return servedSessions(t)
    .flatMap((view) => (view.close && view.close.t < end.t ? [{ view, close: view.close }] : []))
    .sort((a, b) => a.close.seq - b.close.seq);
});

/** The ring a message is about (`index` of its body). */
export function ringOf(message: { body: EventOf<'wire.recv'>['body'] }): number | undefined {
  return numberIn(message.body, 'index');
}

/** The last answer of a session's peer to messages of a name, before an event. */
export function lastReply(view: SessionView, name: string, beforeSeq: number): EventOf<'wire.send'> | undefined {
  return view.replies.findLast((reply) => reply.name === name && reply.seq < beforeSeq);
}

/** The SET_PROTOCOL_FEATURES that was in force at an event. */
export function protocolAck(view: SessionView, beforeSeq: number): EventOf<'wire.recv'> | undefined {
  return view.received.findLast(({ name, seq }) => name === 'SET_PROTOCOL_FEATURES' && seq < beforeSeq);
}

/** The protocol features that it acked. */
export function ackedProtocol(view: SessionView, beforeSeq: number): bigint {
  const ack = protocolAck(view, beforeSeq);
  return (ack && bigIn(ack.body, 'value')) ?? 0n;
}

/** Whether the front-end waits for an answer: the message has a reply of its own, or the NEED_REPLY flag. */
export function expectsReply({ request, flags }: EventOf<'wire.recv'>): boolean {
  return hasReply(request) || (flags & FLAG_NEED_REPLY) !== 0;
}

/** Whether a message has a reply of its own, of which 0 is no acknowledgement. */
function hasReply(request: number): boolean {
  const rule = specById('front-end', request)?.reply.rule;
  return rule === 'always' || rule === 'log-shmfd';
}

/** The peer's answer to a message. */
export function replyTo(view: SessionView, message: EventOf<'wire.recv'>): EventOf<'wire.send'> | undefined {
  const next = view.received.find((other) => other.seq > message.seq && other.request === message.request);
  return view.replies.find(
    (reply) => reply.request === message.request && reply.seq > message.seq && reply.seq < (next?.seq ?? Infinity),
  );
}

/** When a message got its answer, or what its peer sent in place of one. */
export function answered(view: SessionView, message: EventOf<'wire.recv'>): { t: Ms; seq: number } | undefined {
  const reply = replyTo(view, message);
  if (reply) return reply;
  const next = view.received.find((other) => other.seq > message.seq && other.request === message.request);
  return view.faults.find(
    (fault) =>
      fault.spoils === 'answer' &&
      fault.message === message.name &&
      fault.seq > message.seq &&
      fault.seq < (next?.seq ?? Infinity),
  );
}

/** A message that the peer left unanswered although the front-end waits for it. */
function unanswered(view: SessionView): EventOf<'wire.recv'> | undefined {
  const last = view.received.at(-1);
  return last && expectsReply(last) && !replyTo(view, last) ? last : undefined;
}

/** A message that the peer refused: it has no reply of its own, and is not acknowledged with 0. */
export function refusal(view: SessionView): EventOf<'wire.send'> | undefined {
  return view.replies.find(({ request, body }) => !hasReply(request) && (bigIn(body, 'value') ?? 0n) !== 0n);
}

/**
 * Whether QEMU may have been unable to go on in a session, through no fault of its own: a spoilt or refused message, no answer,
 * or no descriptors.
 */
export function stuck(view: SessionView): boolean {
  const spoilt = view.faults.some(({ spoils }) => spoils !== undefined && spoils !== 'channel');
  return spoilt || refusal(view) !== undefined || unanswered(view) !== undefined || view.short;
}

/** When a message was held up by its peer, which dealt with it late, or when the schedule went on. */
const lateSpans = (t: Timeline, view: SessionView): Span[] =>
  view.faults.flatMap(({ t: from, seq, by, fault }) => {
    if (by !== undefined) return [{ from, to: Math.min(view.to, from + by) }];
    if (fault !== 'hold') return [];
    const next = [view.received, view.replies, t.of('peer.resumed', view.session)].map(
      (messages) => messages.find((other) => other.seq > seq)?.t ?? view.to,
    );
    return [{ from, to: Math.min(...next) }];
  });

/** When the peer was silent for good, or had sent part of something on the other channel. */
const silentSpans = (t: Timeline, view: SessionView): Span[] =>
  view.faults.flatMap(({ t: from, seq, spoils, half }) => {
    if (spoils === 'all') return [{ from, to: view.to }];
    if (spoils !== 'channel' || !half) return [];
    const end = t.first('wire.backend-close', ({ session }) => session === view.session, seq)?.t;
    return [{ from, to: end ?? view.to }];
  });

/** When the peer of some session owed QEMU something that QEMU waited for, in the order in which it began. */
export const owed = perTimeline((t: Timeline): readonly (Span & { view: SessionView; message?: string })[] =>
  sessionViews(t)
    .flatMap((view) => [
      ...view.received.flatMap((message, i) => {
        if (!expectsReply(message)) return [];
        const to = answered(view, message)?.t ?? view.received[i + 1]?.t ?? view.to;
        return [{ from: message.t, to, view, message: message.name }];
      }),
      ...[...lateSpans(t, view), ...silentSpans(t, view)].map((span) => ({ ...span, view })),
    ])
    .sort((a, b) => a.from - b.from),
);

/** When the back-end of another port may have owed QEMU something. */
const elsewhere = (t: Timeline): Span[] =>
  t.all('peer.other').flatMap(({ t: from, seq, port, state }) => {
    if (state !== 'owing') return [];
    return [{ from, to: t.first('peer.other', (other) => other.port === port, seq)?.t ?? Infinity }];
  });

/**
 * When QEMU could do nothing but wait for a peer. One that does not accept may have QEMU in its backlog, which then takes itself
 * for connected and waits for an answer; nobody sees from when on.
 */
const owedSpans = perTimeline((t: Timeline): readonly Span[] =>
  merged([...owed(t), ...elsewhere(t), ...adding(t), ...hangs(t).filter(({ full }) => !full)]),
);

/** How long a wait of QEMU's took, less what the machine took and the time in which a peer kept QEMU waiting. */
export function unowed(t: Timeline, from: Ms, to: Ms): Ms {
  return outside({ from, to: Math.max(from, to) }, owedSpans(t)).reduce(
    (sum, part) => sum + spent(t, part.from, part.to),
    0,
  );
}

/** From when QEMU holds a session: its own dial, or its first message on one that it accepted. */
export function serviceStart(view: SessionView): Event | undefined {
  return view.open.by === 'accept' ? view.open : firstWord(view);
}

/** QEMU's first message; of a session that reads nothing, when there was something to read. */
export function firstWord(view: SessionView): EventOf<'wire.recv'> | EventOf<'peer.fault'> | undefined {
  return view.received[0] ?? view.faults.find(({ fault }) => fault === 'silent');
}

/** Pairs of sessions that QEMU held at the same time: `start` is when it took the second, the first being open. */
export function servedTogether(t: Timeline): { first: SessionView; second: SessionView; start: Event }[] {
  const started = sessionViews(t)
    .flatMap((view) => {
      const start = serviceStart(view);
      return start ? [{ view, start }] : [];
    })
    .sort((a, b) => a.start.seq - b.start.seq);
  return started.flatMap(({ view: second, start }, i) => {
    const before = started.slice(0, i).map(({ view }) => view);
    const first = before.find((view) => view.toSeq > start.seq && !closedLate(t, view, start));
    return first ? [{ first, second, start }] : [];
  });
}

/** Whether the session was in fact over at `start`: closed by the front-end, silent since, recorded right after. */
export function closedLate(t: Timeline, view: SessionView, start: Event): boolean {
  return (
    view.close?.by === 'front-end' &&
    view.close.t - start.t <= NOTICE_MS + t.starved(start.t, view.close.t) &&
    !view.received.some((other) => other.seq > start.seq)
  );
}

function handshakeOf(
  t: Timeline,
  received: readonly EventOf<'wire.recv'>[],
  replies: readonly EventOf<'wire.send'>[],
): Handshake {
  const context = contextOf(t);
  const offered = bigIn(replies.find((reply) => reply.name === 'GET_FEATURES')?.body ?? null, 'value');
  const script = handshakeScript({
    queuePairs: context?.queuePairs ?? 1,
    protocolFeatures: offered === undefined || (offered & bit(VHOST_USER_F_PROTOCOL_FEATURES)) !== 0n,
    ringErrors: context !== undefined && atLeast(context.qemu.version, 7, 1),
  });
  return followHandshake(script, received, ringOf);
}

function bySession<T extends { session: number }>(messages: readonly T[]): ReadonlyMap<number, T[]> {
  const groups = new Map<number, T[]>();
  for (const message of messages) {
    const group = groups.get(message.session);
    if (group) group.push(message);
    else groups.set(message.session, [message]);
  }
  return groups;
}
