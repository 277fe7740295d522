import type { Ms, Timeline } from '../timeline/index.js';
import { contextOf } from './body.js';
import { type Break, counted, hold, judged, ms, notApplicable } from './judgement.js';
import type { Requirement } from './requirement.js';
import { closedLate, servedSessions, serviceStart, sessionViews, unowed } from './sessions.js';
import { horizon, type Span, uncovered } from './timing.js';

/** TCPChardevState of QEMU's chardev/char-socket.c. */
export type TcpChardevState = 'DISCONNECTED' | 'CONNECTING' | 'CONNECTED';

/** Where each state may go: the assertions of tcp_chr_change_state. */
export const legalTransitions: Readonly<Record<TcpChardevState, readonly TcpChardevState[]>> = {
  DISCONNECTED: ['CONNECTING'],
  CONNECTING: ['CONNECTED', 'DISCONNECTED'],
  CONNECTED: ['DISCONNECTED'],
};

/** One state as seen from outside. CONNECTING is never seen for itself: it is on the way to every connection. */
export interface Observation {
  state: TcpChardevState;
  t: Ms;
  seq: number;
  session: number;
}

/** A transition that the table does not have. */
export interface IllegalTransition {
  from: TcpChardevState;
  to: TcpChardevState;
  seen: string;
  events: number[];
}

/** What the sessions and the chardev's own word say about its states. */
export interface ChardevHistory {
  sequence: Observation[];
  illegal: IllegalTransition[];
}

/** The contract's bound for the chardev to notice a change of the connection (defect:server-peer-gone-not-noticed). */
const NOTICE_MS = 1000;

/** The chardev's word is asked for in rounds, and not at all while QMP is silent. */
const WATCH_MS = 1000;

/** The states that a timeline shows. A session counts from QEMU's first message on it (server) or its dial (client). */
export function observe(t: Timeline): ChardevHistory {
  const served = sessionViews(t).flatMap((view) => {
    const start = serviceStart(view);
    return start ? [{ view, start }] : [];
  });
  const sequence = served
    .flatMap(({ view, start }): (Observation & { order: number })[] => {
      const { session, close } = view;
      const up = { t: start.t, seq: start.seq, session, order: start.seq };
      const states = [
        { ...up, state: 'CONNECTING' as const },
        { ...up, state: 'CONNECTED' as const },
      ];
      if (!close) return states;
      // An end that the tester noticed late was there when the next connection began.
      const next = served.find((other) => other.start.seq > start.seq && closedLate(t, view, other.start))?.start.seq;
      const order = Math.min(close.seq, next === undefined ? Infinity : next - 0.5);
      return [...states, { state: 'DISCONNECTED', t: close.t, seq: close.seq, session, order }];
    })
    .sort((a, b) => a.order - b.order)
    .map(({ order: _, ...observation }) => observation);
  return { sequence, illegal: [...missteps(sequence), ...contradictions(t)] };
}

/** Where a sequence leaves the table; it goes on from the state that was observed. */
function missteps(sequence: readonly Observation[]): IllegalTransition[] {
  return sequence.flatMap((to, i) => {
    const from = sequence[i - 1];
    const state = from?.state ?? 'DISCONNECTED';
    if (legalTransitions[state].includes(to.state)) return [];
    const what = to.state === 'DISCONNECTED' ? 'ended' : 'was served';
    const seen = `session ${to.session} ${what} while ${from ? `session ${from.session}` : 'the chardev'} was ${state}`;
    return { from: state, to: to.state, seen, events: [...new Set([...(from ? [from.seq] : []), to.seq])] };
  });
}

const WORD = { qom: 'the chardev', filename: 'query-chardev' };

/** The chardev's own word against the connections that there were. */
function contradictions(t: Timeline): IllegalTransition[] {
  const end = horizon(t).t;
  const open = sessionViews(t).map((view) => ({ from: view.open.t, to: view.to }));
  const served = servedSessions(t).flatMap((view) =>
    view.handshake.complete ? [{ from: view.handshake.complete.t, to: view.to }] : [],
  );
  const words = (['qom', 'filename'] as const).map((means) => t.all('chardev.state').filter((e) => e.means === means));
  return words.flatMap((states) =>
    states.flatMap((state, i) => {
      const said: Span = { from: state.t, to: Math.min(states[i + 1]?.t ?? Infinity, end) };
      const wrong = state.connected ? uncovered(said, open) : served.flatMap((span) => shared(said, span));
      return wrong
        .filter((span) => confirmed(t, span))
        .map((span): IllegalTransition => {
          const time = ms(span.to - span.from);
          return state.connected
            ? {
                from: 'DISCONNECTED',
                to: 'CONNECTED',
                seen: `${WORD[state.means]} says connected for ${time} without any connection`,
                events: [state.seq],
              }
            : {
                from: 'CONNECTED',
                to: 'DISCONNECTED',
                seen: `${WORD[state.means]} says disconnected for ${time} of a served connection`,
                events: [state.seq],
              };
        });
    }),
  );
}

/**
 * Where query-chardev names something else than before in the same state, or not the socket: a listener always does, a
 * connection of its own making has no name.
 */
function misnamed(t: Timeline): Break[] {
  const context = contextOf(t);
  if (!context) return [];
  const { role, socketPath, joined } = context;
  const name = `unix:${socketPath}`;
  const socket = (text: string) =>
    [name, `${name},server`, `${name},server=on`].includes(text.replace(/^disconnected:/, ''));
  const known = new Map<boolean, string>();
  return t.all('chardev.state').flatMap(({ text, connected, seq }): Break[] => {
    if (text === undefined) return [];
    const before = known.get(connected);
    known.set(connected, before ?? text);
    const names = joined || (role === 'client' && connected) || socket(text);
    if (names && (before ?? text) === text) return [];
    const what = names ? `${before} before` : `the socket is ${socketPath}`;
    const state = connected ? 'connected' : 'disconnected';
    return [{ kind: 'violation', seen: `query-chardev names ${text} while ${state}, ${what}`, events: [seq] }];
  });
}

function shared(a: Span, b: Span): Span[] {
  const both = { from: Math.max(a.from, b.from), to: Math.min(a.to, b.to) };
  return both.from < both.to ? [both] : [];
}

/** Whether the chardev had time to notice, and was asked after that: a heartbeat was answered. */
function confirmed(t: Timeline, { from, to }: Span): boolean {
  if (unowed(t, from, to) <= NOTICE_MS + WATCH_MS) return false;
  return t.all('qmp.heartbeat').some((beat) => beat.sent >= from + NOTICE_MS && beat.sent + beat.latency < to);
}

export const M1: Requirement = {
  id: 'M1',
  title: 'The chardev follows its state machine',
  sentence:
    'The chardev goes DISCONNECTED, CONNECTING, CONNECTED and back, and what it says of itself is true: its state, and in query-chardev the socket that it is about, in the same words whenever it is in that state.',
  level: 'must',
  label: 'contract',
  sources: ['qemu:chardev/char-socket.c#tcp_chr_change_state', 'defect:server-peer-gone-not-noticed'],
  allowed: `One connection at a time; connected and disconnected as they are, ${NOTICE_MS + WATCH_MS} ms after a change at the latest. What a connection that QEMU dialled is called is free.`,
  judge(t) {
    const { sequence, illegal } = observe(t);
    if (sequence.length === 0 && illegal.length === 0) return notApplicable('no connection was made');
    const breaks: Break[] = [
      ...illegal.map(({ from, to, seen, events }) => ({
        kind: 'violation' as const,
        seen: `${from} to ${to}: ${seen}`,
        events,
      })),
      ...misnamed(t),
    ];
    const connected = sequence.filter(({ state }) => state === 'CONNECTED');
    return judged(
      breaks,
      hold(
        `${counted(connected.length, 'connection')}, ${counted(sequence.length, 'transition')}, all of them legal`,
        connected.map(({ seq }) => seq),
      ),
    );
  },
};
