import type { EventOf, Timeline } from '../timeline/index.js';
import { answerTo, bodyIn, listIn } from './body.js';
import { type Break, counted, hold, judged, notApplicable } from './judgement.js';
import type { Requirement } from './requirement.js';
import { type SessionView, servedSessions, stuck } from './sessions.js';
import { horizon } from './timing.js';

/** The commands that yanked a chardev, and were carried out. */
const yanks = (t: Timeline): { command: EventOf<'qmp.command'>; reply: EventOf<'qmp.reply'> }[] =>
  t
    .all('qmp.command')
    .filter(
      ({ execute, arguments: args }) =>
        execute === 'yank' && listIn(args ?? null, 'instances').some((one) => bodyIn(one, 'type') === 'chardev'),
    )
    .flatMap((command) => {
      const reply = answerTo(t, command);
      return reply && reply.error === undefined ? [{ command, reply }] : [];
    });

/**
 * The answer of the monitor, to what it was asked after the yank, that shows that a connection went on: QEMU did not end it, and a
 * peer that reads would have seen its end by then.
 */
function wentOn(t: Timeline, view: SessionView, reply: EventOf<'qmp.reply'>): number | undefined {
  const end = horizon(t).seq;
  if (view.close?.by === 'front-end' && view.close.seq < end) return undefined;
  const beat = t.first('qmp.heartbeat', ({ sent }) => sent > reply.t, reply.seq);
  if (!beat || beat.seq > Math.min(end, view.toSeq) || view.faults.length > 0 || stuck(view)) return undefined;
  return beat.seq;
}

export const R50: Requirement = {
  id: 'R50',
  title: 'A connection that is yanked ends',
  sentence: "The monitor's yank of the chardev ends its connection, whichever back-end is there.",
  level: 'must',
  label: 'contract',
  sources: ['qemu:chardev/char-socket.c#char_socket_yank_iochannel', 'qemu:util/yank.c#qmp_yank'],
  allowed:
    "The socket is shut down before the monitor answers; the peer may see it later, but not leave by itself after the monitor's next answer. Not for several ports, nor a peer that does something wrong.",
  judge(t) {
    if (t.first('peer.other')) return notApplicable('which port was yanked is not looked into');
    const breaks: Break[] = [];
    let ended = 0;
    for (const { command, reply } of yanks(t))
      for (const view of servedSessions(t)) {
        if (view.open.seq > command.seq || view.toSeq < command.seq) continue;
        const beat = wentOn(t, view, reply);
        if (beat === undefined) ended++;
        else {
          const seen = `session ${view.session} went on after yank had ended it`;
          breaks.push({ kind: 'violation', seen, events: [command.seq, reply.seq, beat] });
        }
      }
    if (breaks.length + ended === 0) return notApplicable('no connection was yanked');
    return judged(breaks, hold(`${counted(ended, 'connection')} ended by yank`));
  },
};
