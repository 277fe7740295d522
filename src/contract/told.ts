import { macText } from '../switch/index.js';
import type { EventOf, Timeline } from '../timeline/index.js';
import { bit, type ProtocolFeatureName, protocolFeatures, virtioNetFeatures } from '../wire/index.js';
import { answerTo, bigIn, contextOf } from './body.js';
import { acceptedIn, announcesItself, freeSince, periodAt, unseenGuest } from './guest-state.js';
import { type Break, counted, hold, judged, ms, notApplicable } from './judgement.js';
import type { Requirement } from './requirement.js';
import { allRunning, ringRuns } from './ring-spans.js';
import { ackedProtocol, type SessionView, servedSessions, stuck, unowed } from './sessions.js';
import { horizon } from './timing.js';

/** Bit of the device status: the driver is ready (virtio 1.2, 2.1). */
const DRIVER_OK = 4n;

/** It follows the last ring at once. */
const STATUS_MS = 1000;

/** It is sent before the monitor answers. */
const RARP_MS = 1000;

/** What QEMU stops rings with. */
const stops: ReadonlySet<string> = new Set(['GET_VRING_BASE', 'SET_STATUS']);

/** Whether QEMU acked a protocol feature before an event. */
const acked = (view: SessionView, feature: ProtocolFeatureName, seq: number): boolean =>
  (ackedProtocol(view, seq) & bit(protocolFeatures[feature])) !== 0n;

/** The first start of a ring in a session. */
const firstStart = (t: Timeline, view: SessionView): EventOf<'ring.start'> | undefined =>
  t.first('ring.start', ({ session }) => session === view.session);

export const R45: Requirement = {
  id: 'R45',
  title: "The device's MTU reaches every peer",
  sentence:
    'Where the guest accepted VIRTIO_NET_F_MTU and QEMU acked VHOST_USER_PROTOCOL_F_MTU, NET_SET_MTU comes before the first ring of a connection starts; it never names another MTU than the device has.',
  level: 'must',
  label: 'spec',
  sources: [
    'spec:Front-end message types',
    'qemu:hw/net/virtio-net.c#virtio_net_vhost_status',
    'qemu:hw/virtio/vhost-user.c#vhost_user_net_set_mtu',
  ],
  allowed: 'As often as QEMU likes.',
  judge(t) {
    const mtu = contextOf(t)?.mtu;
    if (mtu === undefined) return notApplicable('the device has no MTU');
    const breaks: Break[] = [];
    const events: number[] = [];
    for (const view of servedSessions(t)) {
      const told = view.received.filter(({ name }) => name === 'NET_SET_MTU');
      for (const { body, seq } of told) {
        const value = bigIn(body, 'value');
        if (value === BigInt(mtu)) continue;
        const seen = `session ${view.session}: NET_SET_MTU says ${value}, the device has ${mtu}`;
        breaks.push({ kind: 'violation', seen, events: [seq] });
      }
      events.push(...told.map(({ seq }) => seq));
      const start = firstStart(t, view);
      if (!start || !acked(view, 'VHOST_USER_PROTOCOL_F_MTU', start.seq)) continue;
      const accepted = acceptedIn(periodAt(t, start.seq)) ?? 0n;
      if ((accepted & bit(virtioNetFeatures.VIRTIO_NET_F_MTU)) === 0n || told.some(({ seq }) => seq < start.seq))
        continue;
      const seen = `session ${view.session}: ring ${start.ring} started without NET_SET_MTU before`;
      breaks.push({ kind: 'violation', seen, events: [start.seq] });
    }
    if (events.length === 0 && breaks.length === 0) return notApplicable('no ring started that takes an MTU');
    return judged(breaks, hold(`${counted(events.length, 'NET_SET_MTU', 'NET_SET_MTU')} of ${mtu}`, events));
  },
};

export const R46: Requirement = {
  id: 'R46',
  title: 'Every peer is told that the driver is ready',
  sentence:
    'Where QEMU acked VHOST_USER_PROTOCOL_F_STATUS, SET_STATUS with DRIVER_OK comes once the rings run, each time that they start.',
  level: 'must',
  label: 'spec',
  sources: ['spec:Front-end message types', 'qemu:hw/virtio/vhost-user.c#vhost_user_dev_start'],
  allowed: `Within ${STATUS_MS} ms of the last ring's start, and before QEMU stops them.`,
  judge(t) {
    const breaks: Break[] = [];
    const events: number[] = [];
    for (const view of servedSessions(t)) {
      // QEMU gives up on a peer that spoils what it waits for.
      if (view.faults.some(({ spoils }) => spoils !== undefined)) continue;
      for (const part of ringRuns(t, view)) {
        const running = allRunning(t, view, part);
        if (!running || !acked(view, 'VHOST_USER_PROTOCOL_F_STATUS', running.seq)) continue;
        const ready = view.received.find(
          ({ name, body, seq }) =>
            name === 'SET_STATUS' && seq > part.fromSeq && ((bigIn(body, 'value') ?? 0n) & DRIVER_OK) !== 0n,
        );
        const { seq: from } = running;
        const stop = view.received.find(
          ({ name, seq }) => stops.has(name) && seq > from && seq < (ready?.seq ?? Infinity),
        );
        const wait = unowed(t, running.t, Math.min(ready?.t ?? Infinity, view.to, horizon(t).t));
        if (ready) events.push(ready.seq);
        if (!stop && wait <= STATUS_MS) continue;
        const what = stop ? `did not come before ${stop.name}` : `took ${ms(wait)} from the start of the rings`;
        const seen = `session ${view.session}: SET_STATUS with DRIVER_OK ${what}`;
        breaks.push({ kind: 'violation', seen, events: [from, ...[stop, ready].flatMap((e) => e?.seq ?? [])] });
      }
    }
    if (events.length === 0 && breaks.length === 0) return notApplicable('no rings ran where the status is told');
    return judged(breaks, hold(`DRIVER_OK told ${counted(events.length, 'time')}`, events));
  },
};

/** The address in a SEND_RARP: the low six bytes of the payload, the first of them lowest (vhost_user_migration_done). */
function addressIn({ body }: EventOf<'wire.recv'>): string {
  const payload = Buffer.alloc(8);
  payload.writeBigUInt64LE(bigIn(body, 'value') ?? 0n);
  return macText(payload.subarray(0, 6));
}

/** The session to whose peer an announcement must go that the monitor carried out; undefined when there is none. */
function announcedTo(t: Timeline, command: EventOf<'qmp.command'>, reply: EventOf<'qmp.reply'>) {
  const { seq } = command;
  if (announcesItself(t, seq)) return undefined;
  // Sent while the machine is stopped it is queued, and with its link down it is dropped (net/net.c).
  if (freeSince(t, seq) === undefined) return undefined;
  const at = (view: SessionView) => (view.handshake.complete?.seq ?? Infinity) < seq && view.toSeq > reply.seq;
  const view = servedSessions(t).find(at);
  return view && !stuck(view) && acked(view, 'VHOST_USER_PROTOCOL_F_RARP', seq) ? view : undefined;
}

export const R49: Requirement = {
  id: 'R49',
  title: 'The network is told where the guest is',
  sentence:
    "Where QEMU acked VHOST_USER_PROTOCOL_F_RARP and the guest does not announce itself, announce-self makes it send SEND_RARP, with the device's address.",
  level: 'must',
  label: 'spec',
  sources: [
    'spec:Front-end message types',
    'qemu:net/announce.c#qemu_announce_self_iter',
    'qemu:net/vhost-user.c#vhost_user_receive',
    'qemu:hw/virtio/vhost-user.c#vhost_user_migration_done',
  ],
  allowed: `Within ${RARP_MS} ms, and before QEMU stops the rings. As often as QEMU likes.`,
  judge(t) {
    if (unseenGuest(t)) return notApplicable('what the guest accepted is not known');
    const breaks: Break[] = [];
    const told = servedSessions(t).flatMap(({ received }) => received.filter(({ name }) => name === 'SEND_RARP'));
    for (const message of told) {
      const mac = t.last('driver.config', () => true, message.seq)?.mac;
      const address = addressIn(message);
      if (mac === undefined || address === mac) continue;
      const seen = `session ${message.session}: SEND_RARP says ${address}, the device has ${mac}`;
      breaks.push({ kind: 'violation', seen, events: [message.seq] });
    }
    for (const command of t.all('qmp.command').filter(({ execute }) => execute === 'announce-self')) {
      const reply = answerTo(t, command);
      const view = reply && reply.error === undefined ? announcedTo(t, command, reply) : undefined;
      if (!view) continue;
      const after = view.received.filter(({ seq }) => seq > command.seq);
      const rarp = after.find(({ name }) => name === 'SEND_RARP');
      const stop = after.find(({ name, seq }) => stops.has(name) && seq < (rarp?.seq ?? Infinity));
      const wait = unowed(t, reply!.t, Math.min(rarp?.t ?? Infinity, view.to, horizon(t).t));
      if (!stop && wait <= RARP_MS) continue;
      const what = stop ? `did not come before ${stop.name}` : `took ${ms(wait)} from the answer to announce-self`;
      const events = [command.seq, ...[stop, rarp].flatMap((e) => e?.seq ?? [])];
      breaks.push({ kind: 'violation', seen: `session ${view.session}: SEND_RARP ${what}`, events });
    }
    if (told.length === 0 && breaks.length === 0) return notApplicable('nothing was to be announced');
    const events = told.map(({ seq }) => seq);
    return judged(breaks, hold(`${counted(told.length, 'SEND_RARP', 'SEND_RARP')} with the device's address`, events));
  },
};
