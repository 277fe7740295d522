import type { EventOf, Ms, Timeline } from '../timeline/index.js';
import { atLeast, contextOf, textIn } from './body.js';
import { joined } from './guest-state.js';
import { type Break, counted, hold, judged, ms, notApplicable } from './judgement.js';
import { removals } from './removal.js';
import type { Requirement } from './requirement.js';
import { answered, losses, type SessionView, servedSessions, stuck, unowed } from './sessions.js';
import { horizon } from './timing.js';

/** From the handshake's end, or a connection's, to its event; measured 1-30 ms, the set-up of rings included. */
const EVENT_MS = 1000;

/** The monitor's socket is read beside the peer's: what happened later may be recorded so much earlier. */
const NOTICE_MS = 250;

const CONNECTED = 'NETDEV_VHOST_USER_CONNECTED';
const DISCONNECTED = 'NETDEV_VHOST_USER_DISCONNECTED';

type NetdevEvent = EventOf<'qmp.event'>;

/** When QEMU had all the answers that a handshake takes: two GET_FEATURES a queue pair, and what is last is no question. */
function answeredAt(t: Timeline, view: SessionView): number | undefined {
  const answers = view.received
    .filter(({ name }) => name === 'GET_FEATURES')
    .flatMap((message) => answered(view, message)?.t ?? []);
  return answers[2 * (contextOf(t)?.queuePairs ?? 1) - 1];
}

/**
 * Whether QEMU took the handshake for complete: it went on to what comes after it, or left the connection be. Of a
 * connection that ended right after its last message nobody can tell.
 */
function taken(t: Timeline, view: SessionView): EventOf<'wire.recv'> | undefined {
  const { complete } = view.handshake;
  if (!complete || stuck(view)) return undefined;
  const wentOn = view.received.some(({ seq }) => seq > complete.seq);
  return wentOn || unowed(t, complete.t, Math.min(view.to, horizon(t).t)) > EVENT_MS ? complete : undefined;
}

/** Events that do not take turns. */
function strict(events: readonly NetdevEvent[], connectedAtFirst: boolean): Break[] {
  return events.flatMap((event, i) => {
    const before = events[i - 1];
    if ((before?.event ?? (connectedAtFirst ? CONNECTED : undefined)) !== event.event) return [];
    return {
      kind: 'violation',
      seen: `${event.event} came twice in a row`,
      events: before ? [before.seq, event.seq] : [event.seq],
    };
  });
}

/** One netdev's time, by numbers of events. The events of one that is removed may still come until the next is added. */
interface Life {
  from: number;
  to: number;
  /** Until when it owes events. */
  end: Ms;
}

function lives(t: Timeline, ready: number): Life[] {
  const gone = removals(t);
  return [undefined, ...gone].flatMap((before, i) => {
    const from = before ? before.netdev?.asked.seq : ready;
    if (from === undefined) return [];
    // Events in the gap of a monitor that was lost are lost.
    const lost = t.first('qmp.lost');
    const end = Math.min(gone[i]?.asked.t ?? Infinity, lost?.t ?? Infinity, horizon(t).t);
    return [{ from, to: Math.min(gone[i]?.netdev?.asked.seq ?? Infinity, lost?.seq ?? Infinity), end }];
  });
}

/** Events that are missing, by the number of those that came: each moment with the event in its place. */
function missing(
  t: Timeline,
  end: Ms,
  name: string,
  due: readonly { t: number; seq: number; session: number }[],
  came: readonly NetdevEvent[],
): Break[] {
  return due.flatMap(({ t: from, seq, session }, i) => {
    const event = came[i];
    const wait = unowed(t, from, Math.min(event?.t ?? Infinity, end));
    if (wait <= EVENT_MS) return [];
    const what = event ? `came only ${ms(wait)} after` : `did not come in ${ms(wait)} after`;
    const when = name === CONNECTED ? 'the handshake of' : 'the end of';
    return {
      kind: 'violation',
      seen: `${name} ${what} ${when} session ${session}`,
      events: event ? [seq, event.seq] : [seq],
    };
  });
}

/** Events beyond those that there can be by then. */
function surplus(t: Timeline, name: string, causes: readonly number[], came: readonly NetdevEvent[]): Break[] {
  return came.flatMap((event, i) => {
    const by = causes.filter((cause) => cause <= event.t + NOTICE_MS + t.starved(event.t, cause)).length;
    if (i < by) return [];
    const what = name === CONNECTED ? 'complete handshakes' : 'losses';
    return {
      kind: 'violation',
      seen: `${name} came ${counted(i + 1, 'time')}, with ${by} ${what}`,
      events: [event.seq],
    };
  });
}

/** The vhost-user netdevs that QEMU was started with, each with its chardev. What is added again has the same names. */
function netdevs(t: Timeline): ReadonlyMap<string, string> {
  const argv = contextOf(t)?.qemu.argv ?? [];
  return new Map(
    argv.flatMap((text) => {
      const [, id, chardev] = /^vhost-user,id=([^,]+),chardev=([^,]+)/.exec(text) ?? [];
      return id === undefined || chardev === undefined ? [] : [[id, chardev] as const];
    }),
  );
}

/** Events that name another netdev, or another chardev, than there is. Of an operator's QEMU the names are not known. */
function misnamed(t: Timeline, events: readonly NetdevEvent[]): Break[] {
  const known = netdevs(t);
  if (joined(t) || known.size === 0) return [];
  return events.flatMap(({ event, data, seq }): Break[] => {
    const [netdev, chardev] = ['netdev-id', 'chardev-id'].map((key) => textIn(data, key));
    const right = netdev !== undefined && known.has(netdev) && known.get(netdev) === (chardev ?? known.get(netdev));
    if (right && (event === DISCONNECTED || chardev !== undefined)) return [];
    const seen = `${event} names netdev ${netdev}${event === CONNECTED ? `, chardev ${chardev}` : ''}`;
    return [{ kind: 'violation', seen, events: [seq] }];
  });
}

export const R34: Requirement = {
  id: 'R34',
  title: 'Management is told of every connection and loss',
  sentence:
    'QEMU sends one NETDEV_VHOST_USER_CONNECTED for each handshake that is completed and one NETDEV_VHOST_USER_DISCONNECTED for each loss of such a connection, in turns, and none for a connection that ends within the handshake; they name the netdev, and its chardev.',
  level: 'must',
  label: 'contract',
  sources: [
    'qemu:qapi/net.json#NETDEV_VHOST_USER_CONNECTED',
    'qemu:qapi/net.json#NETDEV_VHOST_USER_DISCONNECTED',
    'qemu:net/vhost-user.c#net_vhost_user_event',
    'qemu:net/vhost-user.c#chr_closed_bh',
    'defect:event-order',
  ],
  allowed: `From QEMU 10.0 on; within ${EVENT_MS} ms. The connection of the start-up is not announced, since no monitor listens yet; a netdev that is removed goes without a word.`,
  judge(t) {
    const context = contextOf(t);
    const ready = t.first('qmp.ready');
    if (!context || !atLeast(context.qemu.version, 10, 0)) return notApplicable('QEMU has such events from 10.0 on');
    if (!ready) return notApplicable('no monitor was there');
    const views = servedSessions(t);
    // It may have ended QEMU's start-up, and what follows may have met the monitor or not.
    const early = views.filter((view) => view.open.seq < ready.seq && answeredAt(t, view) !== undefined);
    if (early.length > 1 || early.some(({ handshake, toSeq }) => !handshake.complete || toSeq < ready.seq))
      return notApplicable('a connection that QEMU may have taken was lost before the monitor was there');
    const atFirst = views.find(
      ({ handshake, toSeq }) => handshake.complete && handshake.complete.seq < ready.seq && toSeq > ready.seq,
    );
    const all = t.all('qmp.event').filter((event) => event.t < horizon(t).t);
    const connected = all.filter(({ event }) => event === CONNECTED);
    const disconnected = all.filter(({ event }) => event === DISCONNECTED);
    const breaks = [
      ...lives(t, ready.seq).flatMap((life, i) => judgeLife(t, life, i === 0 ? atFirst : undefined, all)),
      ...misnamed(t, [...connected, ...disconnected]),
    ];
    if (breaks.length === 0 && connected.length + disconnected.length === 0)
      return notApplicable('no connection was made or lost that had to be announced');
    return judged(
      breaks,
      hold(
        `${counted(connected.length, 'connection')} and ${counted(disconnected.length, 'loss', 'losses')} announced`,
        [...connected, ...disconnected].map(({ seq }) => seq).sort((a, b) => a - b),
      ),
    );
  },
};

/** `atFirst`: the connection that the monitor found, which was not announced. */
function judgeLife(t: Timeline, life: Life, atFirst: SessionView | undefined, all: readonly NetdevEvent[]): Break[] {
  const inLife = ({ seq }: { seq: number }) => seq > life.from && seq < life.to;
  const came = all.filter((event) => inLife(event) && (event.event === CONNECTED || event.event === DISCONNECTED));
  const connected = came.filter(({ event }) => event === CONNECTED);
  const disconnected = came.filter(({ event }) => event === DISCONNECTED);
  const views = servedSessions(t);
  const announced = views.flatMap((view) => {
    const complete = taken(t, view);
    return complete && inLife(complete) ? [{ t: complete.t, seq: complete.seq, session: view.session, view }] : [];
  });
  const known = new Set([...(atFirst ? [atFirst] : []), ...announced.map(({ view }) => view)]);
  const ended = losses(t).filter(({ close }) => inLife(close));
  const lost = ended
    .filter(({ view, close }) => known.has(view) && close.t < life.end)
    .map(({ view, close }) => ({ t: close.t, seq: close.seq, session: view.session }));
  const possible = views.flatMap((view) =>
    view.toSeq > life.from && view.open.seq < life.to && view !== atFirst ? (answeredAt(t, view) ?? []) : [],
  );
  const possibleLosses = ended.filter(({ view }) => answeredAt(t, view) !== undefined).map(({ close }) => close.t);
  return [
    ...strict(came, atFirst !== undefined),
    ...missing(t, life.end, CONNECTED, announced, connected),
    ...missing(t, life.end, DISCONNECTED, lost, disconnected),
    ...surplus(t, CONNECTED, possible, connected),
    ...surplus(t, DISCONNECTED, possibleLosses, disconnected),
  ];
}
