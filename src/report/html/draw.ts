import { type Outage, observe } from '../../contract/index.js';
import type { Event, EventOf, Ms, Timeline } from '../../timeline/index.js';
import { describeEvent } from '../describe.js';
import { clip, count, formatMs } from '../format.js';
import { groupBy } from '../group.js';
import type { Drawing, DrawnEvent, DrawnSpan, EventLook } from './drawing.js';

/** Answers of QMP that come sooner are told together. */
const QUICK_MS = 20;
/** More than so many events of a timeline are not shown: those nearest to the evidence are kept. */
export const MAX_EVENTS = 240;
/** Bodies of messages can be long; timelines have them whole. */
const MAX_TEXT = 300;

const lanes = ['steps', 'peer', 'wire', 'chardev', 'QMP', 'guest link', 'traffic', 'process'] as const;
type Lane = (typeof lanes)[number];

/** A drawing, the events that are shown in it, row by row, and a note about those that are not. */
export interface Drawn {
  drawing: Drawing;
  shown: Event[];
  leftOut: string | undefined;
}

function laneOf({ type }: Event): Lane | undefined {
  switch (type) {
    case 'pace':
      return undefined;
    case 'driver.kick':
    case 'driver.interrupt':
      return 'traffic';
    case 'session.open':
    case 'session.close':
    case 'decoy.accept':
      return 'peer';
    case 'guest.echo':
    case 'guest.ping':
      return 'traffic';
    case 'tester.trouble':
      return 'steps';
    case 'proc.sample':
    case 'socket.path':
    case 'self-dial':
      return 'process';
  }
  const lane: Record<string, Lane> = {
    run: 'steps',
    step: 'steps',
    phase: 'steps',
    peer: 'peer',
    wire: 'wire',
    chardev: 'chardev',
    qmp: 'QMP',
    migration: 'QMP',
    driver: 'guest link',
    guest: 'guest link',
    drill: 'steps',
    ring: 'traffic',
    traffic: 'traffic',
    packets: 'traffic',
    qemu: 'process',
  };
  return lane[type.split('.')[0]!];
}

function lookOf(event: Event): EventLook {
  switch (event.type) {
    case 'wire.recv':
    case 'wire.backend-recv':
    case 'qmp.reply':
    case 'driver.kick':
    case 'ring.kick':
      return 'in';
    case 'wire.send':
    case 'qmp.command':
    case 'ring.call':
    case 'driver.interrupt':
      return 'out';
    case 'session.open':
    case 'peer.listen':
    case 'peer.accepts':
    case 'peer.resumed':
    case 'ring.start':
    case 'qemu.spawn':
    case 'driver.ready':
      return 'open';
    case 'session.close':
    case 'peer.unlisten':
    case 'peer.hung':
    case 'ring.stop':
    case 'driver.reset':
    case 'wire.backend-close':
      return 'close';
    case 'qemu.exit':
      return event.asked ? 'close' : 'bad';
    case 'step.end':
      return event.outcome === 'done' || event.outcome === 'cut' ? 'note' : 'bad';
    case 'traffic.end':
      return event.outcome === 'flowed' ? 'note' : 'bad';
    case 'peer.fault':
    case 'peer.dial-failed':
    case 'qmp.silent':
    case 'qmp.lost':
    case 'self-dial':
    case 'tester.trouble':
    case 'driver.broken':
    case 'guest.trouble':
    case 'qemu.post-mortem':
      return 'bad';
    default:
      return 'note';
  }
}

/** What is left out first: the everyday business of rings, then their states, then messages. */
function weight({ type }: Event): number {
  if (/^(ring\.(kick|call)|driver\.(kick|interrupt)|guest\.(echo|ping)|proc\.sample|qmp\.heartbeat)$/.test(type))
    return 3;
  if (/^(ring|packets|driver\.(?!link|broken))/.test(type)) return 2;
  return /^(wire|qmp\.(?!silent))/.test(type) ? 1 : 0;
}

/**
 * Draws a timeline.
 * @param marked sequence numbers of the events that the verdict rests on
 * @param outages of the variant, to be shaded
 */
export function draw(t: Timeline, marked: ReadonlySet<number>, outages: readonly Outage[]): Drawn {
  const beats = t.all('qmp.heartbeat');
  const quick = new Set(beats.filter(({ latency, seq }) => latency < QUICK_MS && !marked.has(seq)));
  const rounds = quickRounds(beats, quick);
  const candidates = t.events.filter(
    (event) =>
      laneOf(event) !== undefined && !(event.type === 'qmp.heartbeat' && quick.has(event) && !rounds.has(event)),
  );
  const shown = nearest(candidates, marked);
  const text = (event: Event) => {
    const round = event.type === 'qmp.heartbeat' ? rounds.get(event) : undefined;
    return clip(round ? roundText(round) : describeEvent(event), MAX_TEXT);
  };
  const used = lanes.filter((lane) => shown.some((event) => laneOf(event) === lane) || lane === 'chardev');
  const number = (lane: Lane) => used.indexOf(lane);
  // Nobody answers a dial after the end.
  const over = t.first('qmp.command', ({ execute }) => execute === 'quit')?.t ?? lifetime(t).to;
  const events = shown.map(
    (event): DrawnEvent => ({
      t: event.t,
      lane: number(laneOf(event)!),
      look: event.type === 'peer.dial-failed' && event.t >= over ? 'note' : lookOf(event),
      marked: marked.has(event.seq),
      text: text(event),
    }),
  );
  const spans = spansOf(t, rounds).flatMap(({ lane, ...span }): DrawnSpan[] =>
    number(lane) < 0 ? [] : [{ ...span, lane: number(lane) }],
  );
  return {
    drawing: { from: t.events[0]?.t ?? 0, to: t.end, lanes: [...used], events, spans, shades: shadesOf(t, outages) },
    shown,
    leftOut: leftOut(candidates, new Set(shown)),
  };
}

type Beat = EventOf<'qmp.heartbeat'>;

/** Quick answers in a row, by the first of each row. */
function quickRounds(beats: readonly Beat[], quick: ReadonlySet<Beat>): Map<Beat, Beat[]> {
  const rounds = new Map<Beat, Beat[]>();
  let round: Beat[] | undefined;
  for (const beat of beats) {
    if (!quick.has(beat)) round = undefined;
    else if (round) round.push(beat);
    else {
      round = [beat];
      rounds.set(beat, round);
    }
  }
  return rounds;
}

function roundText(round: readonly Beat[]): string {
  const slowest = formatMs(Math.max(...round.map(({ latency }) => latency)));
  if (round.length === 1) return describeEvent(round[0]!);
  return `QMP answers ${round.length} times until ${clock(round.at(-1)!.t)}, after ${slowest} at most`;
}

/** A time on the timeline's clock: `+1.929 s`. */
export const clock = (t: Ms): string => `+${(t / 1000).toFixed(3)} s`;

/** At most MAX_EVENTS of the events: what weighs more first, among equals what is nearer to the evidence (or the end). */
function nearest(events: readonly Event[], marked: ReadonlySet<number>): Event[] {
  if (events.length <= MAX_EVENTS) return [...events];
  const evidence = events.filter(({ seq }) => marked.has(seq)).map(({ t }) => t);
  if (evidence.length === 0) evidence.push(events.at(-1)!.t);
  const ranked = events.map((event) => ({
    event,
    weight: marked.has(event.seq) ? -1 : weight(event),
    // Few events are evidence of one verdict.
    distance: evidence.slice(0, 20).reduce((least, t) => Math.min(least, Math.abs(t - event.t)), Infinity),
  }));
  ranked.sort((a, b) => a.weight - b.weight || a.distance - b.distance);
  return ranked
    .slice(0, MAX_EVENTS)
    .map(({ event }) => event)
    .sort((a, b) => a.seq - b.seq);
}

function leftOut(candidates: readonly Event[], shown: ReadonlySet<Event>): string | undefined {
  const missing = candidates.filter((event) => !shown.has(event));
  if (missing.length === 0) return undefined;
  const kinds = [...groupBy(missing, ({ type }) => type)].map(([type, some]) => `${some.length} ${type}`);
  return `${count(missing.length, 'event')} left out here (${kinds.join(', ')})`;
}

type LaneSpan = Omit<DrawnSpan, 'lane'> & { lane: Lane };

function spansOf(t: Timeline, rounds: ReadonlyMap<Beat, Beat[]>): LaneSpan[] {
  return [...steps(t), ...sessions(t), ...chardev(t), ...qmp(t, rounds), ...link(t), ...bursts(t), ...life(t)];
}

function steps(t: Timeline): LaneSpan[] {
  return t.all('step.begin').map((begin): LaneSpan => {
    const end = t.first('step.end', ({ index }) => index === begin.index, begin.seq);
    const trouble = end && end.outcome !== 'done' && end.outcome !== 'cut';
    return {
      lane: 'steps',
      from: begin.t,
      to: end?.t ?? t.end,
      look: trouble ? 'bad' : 'calm',
      label: `${begin.index + 1} ${begin.verb}`,
      text: clip(describeEvent(begin), MAX_TEXT) + (end ? `: ${end.outcome}` : ', not ended'),
    };
  });
}

function sessions(t: Timeline): LaneSpan[] {
  return t.sessions.map(({ session, open, close }) => {
    const to = close?.t ?? t.end;
    return {
      lane: 'peer',
      from: open.t,
      to,
      look: open.extra ? 'calm' : 'good',
      label: `session ${session}`,
      text: `session ${session}, ${formatMs(to - open.t)}`,
    };
  });
}

/** The states that the model of M1 sees. */
function chardev(t: Timeline): LaneSpan[] {
  const { from, to } = lifetime(t);
  const looks = { DISCONNECTED: 'off', CONNECTING: 'warn', CONNECTED: 'good' } as const;
  const states = [{ state: 'DISCONNECTED' as const, t: from }, ...observe(t).sequence];
  return states.flatMap(({ state, t: at }, i) => {
    const until = Math.min(states[i + 1]?.t ?? to, to);
    if (at > until || (i === 0 && at === until)) return [];
    return [{ lane: 'chardev', from: at, to: until, look: looks[state], label: state, text: `chardev ${state}` }];
  });
}

function qmp(t: Timeline, rounds: ReadonlyMap<Beat, Beat[]>): LaneSpan[] {
  const beats = t.all('qmp.heartbeat');
  const inRound = new Set([...rounds.values()].flat());
  const answered = [...rounds.values()].map((round): LaneSpan => {
    const last = round.at(-1)!;
    return {
      lane: 'QMP',
      from: round[0]!.sent,
      to: last.sent + last.latency,
      look: 'good',
      label: 'answers',
      text: roundText(round),
    };
  });
  const late = beats
    .filter((beat) => !inRound.has(beat))
    .map((beat): LaneSpan => {
      const text = describeEvent(beat);
      return {
        lane: 'QMP',
        from: beat.sent,
        to: beat.sent + beat.latency,
        look: 'warn',
        label: formatMs(beat.latency),
        text,
      };
    });
  const silent = t.all('qmp.silent').flatMap(({ since }): LaneSpan[] => {
    const answer = beats.find(({ sent }) => Math.abs(sent - since) < 1);
    // A late answer shows it already, and is as long.
    if (answer) return [];
    const to = Math.max(since, lifetime(t).to);
    const text = `QMP does not answer for ${formatMs(to - since)}`;
    return [{ lane: 'QMP', from: since, to, look: 'bad', label: 'silent', text }];
  });
  return [...answered, ...late, ...silent];
}

function link(t: Timeline): LaneSpan[] {
  // Of a guest of its own the first of its devices.
  const [{ nic } = { nic: '' }] = t.all('guest.carrier');
  const states = [...t.all('driver.link'), ...t.all('guest.carrier').filter((event) => event.nic === nic)];
  return states.map(({ up, t: from }, i) => ({
    lane: 'guest link',
    from,
    to: states[i + 1]?.t ?? lifetime(t).to,
    look: up ? 'good' : 'off',
    label: up ? 'up' : 'down',
    text: `guest sees link ${up ? 'up' : 'down'}`,
  }));
}

function bursts(t: Timeline): LaneSpan[] {
  return t.all('traffic.begin').map((begin): LaneSpan => {
    const end = t.first('traffic.end', ({ burst }) => burst === begin.burst, begin.seq);
    const look = end === undefined ? 'warn' : end.outcome === 'flowed' ? 'good' : 'bad';
    const outcome = end?.outcome ?? 'not ended';
    return {
      lane: 'traffic',
      from: begin.t,
      to: end?.t ?? t.end,
      look,
      label: outcome,
      text: `${describeEvent(begin)}: ${outcome}`,
    };
  });
}

function life(t: Timeline): LaneSpan[] {
  const { from, to } = lifetime(t);
  if (t.all('qemu.spawn').length === 0) return [];
  return [{ lane: 'process', from, to, look: 'good', label: 'QEMU', text: `QEMU runs for ${formatMs(to - from)}` }];
}

function lifetime(t: Timeline): { from: Ms; to: Ms } {
  return { from: t.first('qemu.spawn')?.t ?? t.events[0]?.t ?? 0, to: t.first('qemu.exit')?.t ?? t.end };
}

/** From a loss to the next connection, or to QEMU's end. */
function shadesOf(t: Timeline, outages: readonly Outage[]): Drawing['shades'] {
  return outages.flatMap(({ session }) => {
    const from = t.of('session.close', session)[0]?.t;
    if (from === undefined) return [];
    const back = t.first('session.open', (open) => open.t > from && !open.extra)?.t;
    const to = Math.max(from, back ?? lifetime(t).to);
    const how = back === undefined ? ', which does not come back' : '';
    return [{ from, to, text: `no back-end for ${formatMs(to - from)}, after session ${session}${how}` }];
  });
}
