import type { EventOf, Timeline } from '../timeline/index.js';
import { answerTo } from './body.js';
import { type Break, counted, hold, judged, ms, notApplicable } from './judgement.js';
import { QMP_ANSWER_MS } from './process.js';
import type { Requirement } from './requirement.js';
import { unowed } from './sessions.js';
import { horizon } from './timing.js';

/** A client of the second monitor. */
interface Client {
  open: EventOf<'monitor.open'>;
  close: EventOf<'monitor.close'> | undefined;
  commands: readonly { command: EventOf<'monitor.command'>; reply: EventOf<'monitor.reply'> | undefined }[];
  events: readonly EventOf<'monitor.event'>[];
}

function clientsOf(t: Timeline): Client[] {
  return t.all('monitor.open').map((open) => {
    const own = ({ client }: { client: number }) => client === open.client;
    const replies = t.all('monitor.reply').filter(own);
    return {
      open,
      close: t.first('monitor.close', own),
      commands: t
        .all('monitor.command')
        .filter(own)
        .map((command) => ({ command, reply: replies.find(({ id }) => id === command.id) })),
      events: t.all('monitor.event').filter(own),
    };
  });
}

/** The two sockets are read one after the other; what a connection that ends has to do with `quit` is not to be asked. */
function unanswered(t: Timeline, { commands, close }: Client): Break[] {
  const end = horizon(t).t;
  return commands.flatMap(({ command, reply }): Break[] => {
    const { execute, seq } = command;
    if (reply?.error !== undefined)
      return [
        {
          kind: 'violation',
          seen: `${execute} failed at the second monitor: ${reply.error}`,
          events: [seq, reply.seq],
        },
      ];
    const to = Math.min(reply?.t ?? Infinity, close?.t ?? Infinity, end);
    const silence = command.t < to ? unowed(t, command.t, to) : 0;
    if (silence <= QMP_ANSWER_MS) return [];
    const seen = `the second monitor was silent for ${ms(silence)} after ${execute}, with no peer to wait for`;
    return [{ kind: 'hang', seen, events: reply ? [seq, reply.seq] : [seq] }];
  });
}

function dropped(t: Timeline, { open, close }: Client): Break[] {
  if (close?.by !== 'front-end' || close.t >= horizon(t).t) return [];
  return [
    { kind: 'violation', seen: 'QEMU ended the connection of the second monitor', events: [open.seq, close.seq] },
  ];
}

/** What the first monitor answers to a question asked since then comes after all that was told before. */
function firstAnswerSince(t: Timeline, since: EventOf<'monitor.reply'>): number {
  const beat = t.first('qmp.heartbeat', ({ sent }) => sent >= since.t, since.seq);
  const command = t.first('qmp.command', () => true, since.seq);
  const reply = command && answerTo(t, command);
  return Math.min(beat?.seq ?? Infinity, reply?.seq ?? Infinity);
}

/**
 * Events of the first monitor that a client must have got, too: told after it had negotiated, and before it asked the last
 * command that was answered.
 */
function shared(t: Timeline, { commands }: Client): EventOf<'qmp.event'>[] {
  const negotiated = commands[0]?.reply;
  const last = commands.findLast(({ reply }) => reply)?.command;
  if (!negotiated || !last) return [];
  const from = firstAnswerSince(t, negotiated);
  return t.all('qmp.event').filter(({ seq }) => seq > from && seq < last.seq);
}

/** The first that is not among the client's, in the order in which they came. */
function missed(told: readonly EventOf<'qmp.event'>[], { events }: Client): EventOf<'qmp.event'> | undefined {
  let at = 0;
  return told.find(({ event, data }) => {
    const found = events.findIndex(
      (other, i) => i >= at && other.event === event && JSON.stringify(other.data) === JSON.stringify(data),
    );
    at = found + 1;
    return found < 0;
  });
}

export const R42: Requirement = {
  id: 'R42',
  title: 'A second monitor is served',
  sentence:
    'A management client at a second monitor is answered as at the first and told the same events, whenever it comes, and however others before it left.',
  level: 'must',
  label: 'contract',
  sources: ['qemu:monitor/qmp.c#monitor_qmp_event', 'qemu:monitor/monitor.c#monitor_qapi_event_emit'],
  allowed: `An answer within ${QMP_ANSWER_MS} ms, where no peer owes QEMU one; every event that the first monitor tells while the client is there, in the same order.`,
  judge(t) {
    const clients = clientsOf(t);
    if (clients.length === 0) return notApplicable('nobody was at a second monitor');
    const breaks: Break[] = [];
    const events: number[] = [];
    let heard = 0;
    let answers = 0;
    for (const client of clients) {
      const told = shared(t, client);
      const lost = missed(told, client);
      breaks.push(...unanswered(t, client), ...dropped(t, client));
      if (lost)
        breaks.push({
          kind: 'violation',
          seen: `the second monitor was not told of ${lost.event}`,
          events: [client.open.seq, lost.seq],
        });
      heard += told.length;
      answers += client.commands.filter(({ reply }) => reply).length;
      events.push(client.open.seq);
    }
    if (breaks.length === 0 && answers === 0) return notApplicable('no client of it stayed for an answer');
    return judged(
      breaks,
      hold(
        `${counted(clients.length, 'client')}, ${counted(answers, 'answer')}, ${counted(heard, 'event')} of both`,
        events,
      ),
    );
  },
};
