import type { EventOf, Timeline } from '../timeline/index.js';
import {
  bit,
  featureNames,
  VHOST_F_LOG_ALL,
  VHOST_USER_F_PROTOCOL_FEATURES,
  virtioFeatures,
  virtioNetFeatures,
} from '../wire/index.js';
import { bigIn } from './body.js';
import { acceptedIn, periodAt } from './guest-state.js';
import { type Break, counted, hold, judged, notApplicable } from './judgement.js';
import type { Requirement } from './requirement.js';
import { lastReply, type SessionView, servedSessions } from './sessions.js';
import { perTimeline } from './timing.js';

const net = virtioNetFeatures;
const any = virtioFeatures;

/**
 * What QEMU 5.2 and all later versions pass on of the guest's features (user_feature_bits). Later versions pass on more;
 * the guest's other features (STATUS, CTRL_VQ, MAC ...) are QEMU's own business.
 */
export const FORWARDED: bigint = [
  any.VIRTIO_F_NOTIFY_ON_EMPTY,
  any.VIRTIO_F_ANY_LAYOUT,
  any.VIRTIO_RING_F_INDIRECT_DESC,
  any.VIRTIO_RING_F_EVENT_IDX,
  any.VIRTIO_F_VERSION_1,
  any.VIRTIO_F_ACCESS_PLATFORM,
  any.VIRTIO_F_RING_PACKED,
  net.VIRTIO_NET_F_CSUM,
  net.VIRTIO_NET_F_GUEST_CSUM,
  net.VIRTIO_NET_F_MTU,
  net.VIRTIO_NET_F_GSO,
  net.VIRTIO_NET_F_GUEST_TSO4,
  net.VIRTIO_NET_F_GUEST_TSO6,
  net.VIRTIO_NET_F_GUEST_ECN,
  net.VIRTIO_NET_F_GUEST_UFO,
  net.VIRTIO_NET_F_HOST_TSO4,
  net.VIRTIO_NET_F_HOST_TSO6,
  net.VIRTIO_NET_F_HOST_ECN,
  net.VIRTIO_NET_F_HOST_UFO,
  net.VIRTIO_NET_F_MRG_RXBUF,
  net.VIRTIO_NET_F_GUEST_ANNOUNCE,
  net.VIRTIO_NET_F_MQ,
].reduce((mask, n) => mask | bit(n), 0n);

const PROTOCOL = bit(VHOST_USER_F_PROTOCOL_FEATURES);
const LOG = bit(VHOST_F_LOG_ALL);

type Message = EventOf<'wire.recv'>;

/** From which event on dirty logging may be on: QEMU sent a log, or was told to migrate. */
const loggingFrom = perTimeline((t: Timeline): number =>
  Math.min(
    t.first('wire.recv', ({ name }) => name === 'SET_LOG_BASE')?.seq ?? Infinity,
    t.first('qmp.command', ({ execute }) => execute === 'migrate')?.seq ?? Infinity,
  ),
);

const logging = (t: Timeline, message: Message): boolean => loggingFrom(t) < message.seq;

/** The features that the peer offered on the connection before a message. */
function offered(view: SessionView, message: Message): bigint {
  const reply = lastReply(view, 'GET_FEATURES', message.seq);
  return (reply && bigIn(reply.body, 'value')) ?? 0n;
}

/** What is wrong with one SET_FEATURES; undefined when there is nothing to compare it with. */
function wrong(t: Timeline, view: SessionView, message: Message, value: bigint): string[] | undefined {
  const period = periodAt(t, message.seq);
  const accepted = acceptedIn(period);
  // What comes while the driver is between reset and FEATURES_OK was sent before the reset: R20 judges that it came at all.
  if (accepted === undefined || period.features!.seq > message.seq) return undefined;
  const protocol = offered(view, message) & PROTOCOL;
  const required = (accepted & FORWARDED) | protocol;
  const allowed = accepted | protocol | (logging(t, message) ? LOG : 0n);
  const found: string[] = [];
  if ((required & ~value) !== 0n) found.push(`lacks ${featureNames(required & ~value).join(', ')}`);
  if ((value & ~allowed) !== 0n)
    found.push(`has ${featureNames(value & ~allowed).join(', ')}, which the guest did not accept`);
  return found;
}

export const R23: Requirement = {
  id: 'R23',
  title: "The guest's features reach the peer",
  sentence:
    'Every SET_FEATURES carries the features that the guest accepted, as far as QEMU passes them on, and no others, the same for all queue pairs.',
  level: 'must',
  label: 'regression',
  sources: [
    'qemu:hw/net/vhost_net.c#user_feature_bits',
    'qemu:hw/net/vhost_net.c#vhost_net_ack_features',
    'defect:acked-features-stale-window',
    'defect:acked-features-not-saved',
    'defect:acked-features-mq-only-queue0',
  ],
  allowed:
    'Besides: VHOST_USER_F_PROTOCOL_FEATURES exactly when the peer offers it, VHOST_F_LOG_ALL while dirty logging is on.',
  judge(t) {
    const breaks: Break[] = [];
    const events: number[] = [];
    for (const view of servedSessions(t)) {
      let common: { value: bigint; seq: number; fromSeq: number } | undefined;
      for (const message of view.received) {
        const value = message.name === 'SET_FEATURES' ? bigIn(message.body, 'value') : undefined;
        const found = value === undefined ? undefined : wrong(t, view, message, value);
        if (value === undefined || found === undefined) continue;
        const about = `session ${view.session}: SET_FEATURES 0x${value.toString(16)}`;
        const { features, fromSeq } = periodAt(t, message.seq);
        for (const fault of found)
          breaks.push({ kind: 'violation', seen: `${about} ${fault}`, events: [features!.seq, message.seq] });
        if (common?.fromSeq === fromSeq && ((common.value ^ value) & ~LOG) !== 0n)
          breaks.push({
            kind: 'violation',
            seen: `${about} differs from 0x${common.value.toString(16)} of another queue pair`,
            events: [common.seq, message.seq],
          });
        common = { value, seq: message.seq, fromSeq };
        events.push(message.seq);
      }
    }
    if (events.length === 0) return notApplicable('no SET_FEATURES after a driver had negotiated');
    return judged(
      breaks,
      hold(`${counted(events.length, 'SET_FEATURES', 'SET_FEATURES')} as the guest accepted`, events),
    );
  },
};
