import type { EventOf, Timeline } from '../timeline/index.js';
import { bit, FLAG_NEED_REPLY, FLAG_REPLY, specById, VHOST_USER_PROTOCOL_F_HOST_NOTIFIER } from '../wire/index.js';
import { bigIn, bodyIn, contextOf, flagIn, numberIn } from './body.js';
import { type Break, counted, hold, judged, ms, notApplicable } from './judgement.js';
import type { Requirement } from './requirement.js';
import { spansIn } from './ring-spans.js';
import { ackedProtocol, type SessionView, servedSessions, unowed } from './sessions.js';
import { horizon } from './timing.js';

/** From a request to its answer; the main loop that reads it is idle. */
const ANSWER_MS = 1000;

type Request = EventOf<'wire.send'>;

/** The requests of a session's back-end. */
const requests = (t: Timeline, view: SessionView): Request[] =>
  t.of('wire.send', view.session).filter(({ channel }) => channel === 'backend');

const wantsAnswer = ({ flags }: Request): boolean => (flags & FLAG_NEED_REPLY) !== 0;

/** Of the requests with a reply of their own QEMU may know, or have negotiated, none: it answers them or not. */
const mayBeAnswered = (request: Request): boolean =>
  wantsAnswer(request) || specById('back-end', request.request)?.reply.rule === 'always';

/** The area of a host notifier is one page of the host's. */
const PAGE = 4096n;

/**
 * Whether QEMU must do what a request asks (true), or cannot do it (false): what no specification knows, a notifier for a
 * queue that the device does not have, or of another size than can be mapped. Undefined where it may have its own mind.
 */
function must(t: Timeline, view: SessionView, { request, name, body, seq }: Request, answerSeq: number) {
  if (!specById('back-end', request)) return false;
  const vring = bodyIn(body, 'vring');
  const index = numberIn(vring, 'index');
  const pairs = contextOf(t)?.queuePairs;
  if (name !== 'BACKEND_VRING_HOST_NOTIFIER_MSG' || index === undefined || pairs === undefined) return undefined;
  // The last one is the control queue.
  if (index > 2 * pairs) return false;
  if (!flagIn(vring, 'noFd')) return bigIn(body, 'size') === PAGE ? undefined : false;
  // Without a file it takes the notifier back, whether there was one or not.
  const negotiated = (ackedProtocol(view, seq) & bit(VHOST_USER_PROTOCOL_F_HOST_NOTIFIER)) !== 0n;
  const runs = spansIn(t, view.session).some(
    ({ ring, fromSeq, toSeq }) => ring === index && fromSeq < seq && toSeq > answerSeq,
  );
  return negotiated && runs ? true : undefined;
}

/** What is wrong with the word of an answer. */
function untrue(t: Timeline, view: SessionView, request: Request, answer: EventOf<'wire.backend-recv'>): string[] {
  const value = bigIn(answer.body, 'value');
  const done = value === undefined ? undefined : must(t, view, request, answer.seq);
  if (done === true && value !== 0n) return [`is ${value}, of what is to be done`];
  if (done === false && value === 0n) return ['is 0, of what cannot be done'];
  return [];
}

/** Requests without an answer, and answers without a request. */
function unmatched(t: Timeline, view: SessionView): Break[] {
  const answers = t.of('wire.backend-recv', view.session);
  const closed = t.of('wire.backend-close', view.session)[0];
  const end = horizon(t).t;
  const open = requests(t, view).filter(mayBeAnswered);
  const breaks: Break[] = answers.flatMap((answer) => {
    const about = `session ${view.session}: QEMU's answer to ${answer.name}`;
    const index = open.findIndex(({ seq, request }) => seq < answer.seq && request === answer.request);
    if (index < 0) {
      // What a back-end sends that is no whole message may look like one to QEMU.
      if (view.faults.some(({ half, spoils, seq }) => half && spoils === 'channel' && seq < answer.seq)) return [];
      return [{ kind: 'violation', seen: `${about} was not asked for`, events: [answer.seq] }];
    }
    const request = open.splice(index, 1)[0]!;
    const events = [request.seq, answer.seq];
    if ((answer.flags & FLAG_REPLY) === 0) return [{ kind: 'violation', seen: `${about} has no reply flag`, events }];
    const wait = unowed(t, request.t, Math.min(answer.t, end));
    const late = wait <= ANSWER_MS ? [] : [`came only after ${ms(wait)}`];
    return [...late, ...untrue(t, view, request, answer)].map((what) => ({
      kind: 'violation',
      seen: `${about} ${what}`,
      events,
    }));
  });
  for (const { seq, t: from, name } of open.filter(wantsAnswer)) {
    const wait = unowed(t, from, Math.min(closed?.t ?? Infinity, view.to, end));
    if (wait <= ANSWER_MS) continue;
    const seen = `session ${view.session}: ${name} of the back-end got no answer in ${ms(wait)}`;
    breaks.push({ kind: 'hang', seen, events: [seq] });
  }
  return breaks;
}

export const R37: Requirement = {
  id: 'R37',
  title: "The back-end's requests are answered",
  sentence:
    'A request of the back-end on its own channel that wants an answer gets one, once, whether QEMU can do what it asks or not, and it says which: 0 is success; one that wants none gets none.',
  level: 'must',
  label: 'spec',
  sources: [
    'spec:Back-end communication',
    'spec:VHOST_USER_PROTOCOL_F_REPLY_ACK',
    'spec:Back-end message types',
    'qemu:hw/virtio/vhost-user.c#backend_read',
    'qemu:hw/virtio/vhost-user.c#vhost_user_backend_handle_vring_host_notifier',
    'defect:nested-read-loop-reply-mixup',
    'defect:backend-request-after-cleanup',
  ],
  allowed: `An answer within ${ANSWER_MS} ms, less what a peer kept QEMU waiting, or the end of the channel or the session. Success or not, but for a request that no specification has, a host notifier for a queue that is not there or of another size than a page, and one that is taken back from a ring that runs.`,
  judge(t) {
    const views = servedSessions(t);
    const wanted = views.flatMap((view) => requests(t, view).filter(wantsAnswer));
    const breaks = views.flatMap((view) => unmatched(t, view));
    if (breaks.length === 0 && wanted.length === 0) return notApplicable('no request of a back-end wanted an answer');
    return judged(
      breaks,
      hold(
        `${counted(wanted.length, 'request')} of the back-end answered`,
        wanted.map(({ seq }) => seq),
      ),
    );
  },
};
