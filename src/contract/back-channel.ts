import type { EventOf, Timeline } from '../timeline/index.js';
import { FLAG_NEED_REPLY, FLAG_REPLY, specById } from '../wire/index.js';
import { type Break, counted, hold, judged, ms, notApplicable } from './judgement.js';
import type { Requirement } from './requirement.js';
import { type SessionView, servedSessions, unowed } from './sessions.js';
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
    const [request] = open.splice(index, 1);
    const events = [request!.seq, answer.seq];
    if ((answer.flags & FLAG_REPLY) === 0) return [{ kind: 'violation', seen: `${about} has no reply flag`, events }];
    const wait = unowed(t, request!.t, Math.min(answer.t, end));
    return wait <= ANSWER_MS ? [] : [{ kind: 'violation', seen: `${about} came only after ${ms(wait)}`, events }];
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
    'A request of the back-end on its own channel that wants an answer gets one, once, whether QEMU can do what it asks or not; one that wants none gets none.',
  level: 'must',
  label: 'spec',
  sources: [
    'spec:Back-end communication',
    'spec:VHOST_USER_PROTOCOL_F_REPLY_ACK',
    'qemu:hw/virtio/vhost-user.c#backend_read',
    'defect:nested-read-loop-reply-mixup',
    'defect:backend-request-after-cleanup',
  ],
  allowed: `An answer within ${ANSWER_MS} ms, less what a peer kept QEMU waiting, or the end of the channel or the session.`,
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
