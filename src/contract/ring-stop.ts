import type { EventOf, Timeline } from '../timeline/index.js';
import { bit, VHOST_USER_PROTOCOL_F_STATUS } from '../wire/index.js';
import { bigIn, bodyIn } from './body.js';
import { type Break, counted, hold, judged, ms, notApplicable } from './judgement.js';
import type { Requirement } from './requirement.js';
import { startedAt } from './ring-spans.js';
import { ackedProtocol, ringOf, type SessionView, servedSessions, stuck, unowed } from './sessions.js';
import { horizon } from './timing.js';

/** From what stops the rings to GET_VRING_BASE of each, and the reset of the status; measured 1-20 ms. As long as their start may take. */
const STOP_MS = 2000;

type Message = EventOf<'wire.recv'>;

/** The device is reset by it. */
const zeroStatus = ({ name, body }: Message): boolean => name === 'SET_STATUS' && bigIn(body, 'value') === 0n;

/** What has QEMU take its rings back while their peer is there. */
interface Stop {
  t: number;
  seq: number;
  what: string;
  /** The process ends with it: there is no later. */
  last: boolean;
}

/** Commands that stop rings; a reset of the machine resets the device. */
const stopping = ({ execute, arguments: args }: EventOf<'qmp.command'>): boolean =>
  ['stop', 'system_reset', 'quit'].includes(execute) ||
  (execute === 'set_link' && bodyIn(args ?? null, 'up') === false);

function stops(t: Timeline): Stop[] {
  const refused = new Set(t.all('qmp.reply').flatMap(({ id, error }) => (error === undefined ? [] : [id])));
  return [
    ...t.all('driver.reset').map(({ t: at, seq }) => ({ t: at, seq, what: "the driver's reset", last: false })),
    ...t
      .all('qmp.command')
      .filter((command) => stopping(command) && !refused.has(command.id))
      .map(({ t: at, seq, execute }) => ({ t: at, seq, what: execute, last: execute === 'quit' })),
  ].sort((a, b) => a.seq - b.seq);
}

/** When QEMU had ended in order, and its end was what ended the session: all that it had sent was read by then. */
function ended(t: Timeline, view: SessionView): boolean {
  const exit = t.first('qemu.exit');
  return exit?.asked === 'quit' && exit.code === 0 && view.close?.by === 'front-end' && view.close.how === 'eof';
}

/** Rings whose position was not asked for when they were stopped. */
function unasked(t: Timeline, view: SessionView, all: readonly Stop[]): { asked: number[]; breaks: Break[] } {
  const asked: number[] = [];
  const breaks: Break[] = [];
  for (const stop of all) {
    if (stop.seq < view.open.seq || stop.seq > view.toSeq) continue;
    for (const ring of startedAt(t, view, stop.seq)) {
      const message = view.received.find((m) => m.seq > stop.seq && m.name === 'GET_VRING_BASE' && ringOf(m) === ring);
      if (message) asked.push(message.seq);
      else if (stuck(view)) continue;
      const end = stop.last ? stop.t : Math.min(view.to, horizon(t).t);
      const wait = unowed(t, stop.t, message?.t ?? end);
      const never = stop.last && !message && ended(t, view);
      if (!never && (stop.last || wait <= STOP_MS)) continue;
      const late = message ? `only ${ms(wait)} after` : never ? 'not at' : `not in ${ms(wait)} after`;
      breaks.push({
        kind: 'violation',
        seen: `session ${view.session}: GET_VRING_BASE of ring ${ring} came ${late} ${stop.what}`,
        events: message ? [stop.seq, message.seq] : [stop.seq],
      });
    }
  }
  return { asked, breaks };
}

/** Stops after which the device status was not reset: in time, and before a ring that ran then starts again. */
function unreset(t: Timeline, view: SessionView, all: readonly Stop[]): Break[] {
  if (stuck(view)) return [];
  return all.flatMap((stop): Break[] => {
    if (stop.last || stop.seq < view.open.seq || stop.seq > view.toSeq) return [];
    if ((ackedProtocol(view, stop.seq) & bit(VHOST_USER_PROTOCOL_F_STATUS)) === 0n) return [];
    const rings = startedAt(t, view, stop.seq);
    const started = t.of('ring.start', view.session).filter(({ ring }) => rings.includes(ring));
    const before = started.findLast(({ seq }) => seq < stop.seq);
    if (!before) return [];
    const again = started.find(({ seq }) => seq > stop.seq);
    const reset = view.received.find((message) => message.seq > before.seq && zeroStatus(message));
    const overtaken = again !== undefined && again.seq < (reset?.seq ?? Infinity);
    const wait = unowed(t, stop.t, Math.min(reset?.t ?? Infinity, view.to, horizon(t).t));
    if (!overtaken && wait <= STOP_MS) return [];
    const what = overtaken ? `did not come before ring ${again.ring} started again` : `took ${ms(wait)}`;
    const seen = `session ${view.session}: SET_STATUS 0 after ${stop.what} ${what}`;
    return [{ kind: 'violation', seen, events: [stop.seq, ...[reset, again].flatMap((e) => e?.seq ?? [])] }];
  });
}

/** What a ring is restarted with, in either order; and its enable state, which is kept apart from it. */
const opening: ReadonlySet<string> = new Set(['SET_VRING_NUM', 'SET_VRING_BASE']);
const ofRing = /^(SET_VRING_(ADDR|KICK|CALL|ERR)|GET_VRING_BASE)$/;

/** Messages for a ring that was stopped, before its restart; and a status of 0 before the rings were stopped. */
function disorder(view: SessionView, quitSeq: number): Break[] {
  const stopped = new Map<number, Message>();
  const started = new Set<number>();
  const breaks: Break[] = [];
  const about = (message: Message) => `session ${view.session}: ${message.name} (message ${message.index})`;
  for (const message of view.received) {
    const { name, seq } = message;
    const ring = ringOf(message) ?? -1;
    if (zeroStatus(message) && started.size > 0 && seq < quitSeq)
      breaks.push({
        kind: 'violation',
        seen: `${about(message)} 0 came before GET_VRING_BASE of ring ${[...started].join(', ')}`,
        events: [seq],
      });
    const before = stopped.get(ring);
    if (before && ofRing.test(name))
      breaks.push({
        kind: 'violation',
        seen: `${about(message)} came for ring ${ring}, which was stopped`,
        events: [before.seq, seq],
      });
    if (opening.has(name)) stopped.delete(ring);
    if (name === 'SET_VRING_KICK') started.add(ring);
    if (name === 'GET_VRING_BASE') {
      started.delete(ring);
      stopped.set(ring, message);
    }
  }
  return breaks;
}

export const R32: Requirement = {
  id: 'R32',
  title: 'Rings are stopped in order',
  sentence:
    'With a peer that is there, QEMU asks for the position of each started ring when it stops them, sends nothing more for a stopped ring until it restarts it, and resets the device status after that, where it acked VHOST_USER_PROTOCOL_F_STATUS.',
  level: 'must',
  label: 'spec',
  sources: [
    'spec:Ring states',
    'spec:Front-end message types',
    'qemu:hw/virtio/vhost.c#vhost_virtqueue_stop',
    'qemu:hw/virtio/vhost-user.c#vhost_user_reset_status',
    'defect:status-reset-before-vring-base',
  ],
  allowed: `GET_VRING_BASE, and a status of 0, within ${STOP_MS} ms of a reset by the driver, system_reset, stop or set_link off, and before the end after quit; SET_VRING_ENABLE at any time; the status does not matter after quit, when nobody uses the position any more.`,
  judge(t) {
    const all = stops(t);
    const quit = t.first('qmp.command', ({ execute }) => execute === 'quit')?.seq ?? Infinity;
    const results = servedSessions(t).map((view) => unasked(t, view, all));
    const breaks = [
      ...results.flatMap((result) => result.breaks),
      ...servedSessions(t).flatMap((view) => [...disorder(view, quit), ...unreset(t, view, all)]),
    ];
    const asked = results.flatMap((result) => result.asked);
    if (breaks.length === 0 && asked.length === 0) return notApplicable('no ring was stopped while its peer was there');
    return judged(
      breaks,
      hold(`${counted(new Set(asked).size, 'ring')} asked for their position when they stopped`, asked),
    );
  },
};
