import { bit, FLAG_NEED_REPLY, protocolFeatures } from '../wire/index.js';
import { bigIn } from './body.js';
import { type Break, counted, hold, judged, notApplicable } from './judgement.js';
import type { Requirement } from './requirement.js';
import { ackedProtocol, protocolAck, replyTo, type SessionView, servedSessions } from './sessions.js';

/** What one connection acks otherwise than an earlier one did of the same offer. */
function otherwise(views: readonly SessionView[]): Break[] {
  const known = new Map<bigint, { value: bigint; seq: number }>();
  return views.flatMap((view) =>
    view.received.flatMap((message): Break[] => {
      if (message.name !== 'SET_PROTOCOL_FEATURES') return [];
      const question = view.received.findLast(({ name, seq }) => name === 'GET_PROTOCOL_FEATURES' && seq < message.seq);
      const answer = question && replyTo(view, question);
      const offer = answer && bigIn(answer.body, 'value');
      const value = bigIn(message.body, 'value');
      if (offer === undefined || value === undefined) return [];
      const before = known.get(offer);
      known.set(offer, before ?? { value, seq: message.seq });
      if (before === undefined || before.value === value) return [];
      const [now, then] = [value, before.value].map((mask) => `0x${mask.toString(16)}`);
      const seen = `session ${view.session}: SET_PROTOCOL_FEATURES ${now}, of the same offer it was ${then} before`;
      return [{ kind: 'violation', seen, events: [before.seq, message.seq] }];
    }),
  );
}

/**
 * What QEMU wants acknowledged wherever REPLY_ACK is acked, from 5.2 on: what follows relies on it. Others, such as
 * SET_VRING_ADDR, it wants acknowledged when it migrates.
 */
const acknowledged: ReadonlySet<string> = new Set([
  'SET_BACKEND_REQ_FD',
  'SET_MEM_TABLE',
  'ADD_MEM_REG',
  'REM_MEM_REG',
  'NET_SET_MTU',
]);

/** Messages that ask for an acknowledgement, or do not, otherwise than those of the sessions before with the same features. */
function askedOtherwise(views: readonly SessionView[]): Break[] {
  const known = new Map<string, { asks: Set<boolean>; seq: number }>();
  return views.flatMap((view) => {
    const here = view.received.flatMap((message) => {
      const { name, flags, seq } = message;
      if (!acknowledged.has(name)) return [];
      const key = `${name} ${ackedProtocol(view, seq)}`;
      return [{ message, key, asks: (flags & FLAG_NEED_REPLY) !== 0, before: known.get(key) }];
    });
    for (const { key, asks, message } of here) {
      const entry = known.get(key) ?? { asks: new Set(), seq: message.seq };
      known.set(key, { asks: new Set([...entry.asks, asks]), seq: entry.seq });
    }
    return here.flatMap(({ message, asks, before }): Break[] => {
      if (!before || before.asks.has(asks)) return [];
      const what = asks ? 'wants an acknowledgement' : 'wants no acknowledgement';
      const seen = `session ${view.session}: ${message.name} (message ${message.index}) ${what}, unlike before`;
      return [{ kind: 'violation', seen, events: [before.seq, message.seq] }];
    });
  });
}

/** Connections whose peer may ask QEMU, and was given no channel to do so. */
function channelless(view: SessionView): Break[] {
  const { complete } = view.handshake;
  if (!complete) return [];
  if ((ackedProtocol(view, complete.seq) & bit(protocolFeatures.VHOST_USER_PROTOCOL_F_BACKEND_REQ)) === 0n) return [];
  if (view.received.some(({ name }) => name === 'SET_BACKEND_REQ_FD')) return [];
  const seen = `session ${view.session}: the handshake brought no SET_BACKEND_REQ_FD, whose feature was acked`;
  return [{ kind: 'violation', seen, events: [protocolAck(view, complete.seq)!.seq, complete.seq] }];
}

export const R47: Requirement = {
  id: 'R47',
  title: 'Every connection is negotiated as the first was',
  sentence:
    'Of the same offer QEMU acks the same protocol features on every connection, gives every peer the channel for requests that it acked, and with the same features wants the same messages acknowledged.',
  level: 'must',
  label: 'contract',
  sources: [
    'qemu:hw/virtio/vhost-user.c#vhost_user_backend_init',
    'qemu:hw/virtio/vhost-user.c#vhost_setup_slave_channel',
    'qemu:hw/virtio/vhost-user.c#vhost_user_set_mem_table',
    'qemu:hw/virtio/vhost-user.c#vhost_user_net_set_mtu',
  ],
  allowed:
    'What differs because the offers differ. Of messages those are compared that need nothing else to be acknowledged: the memory, the channel for requests, the MTU.',
  judge(t) {
    const views = servedSessions(t);
    const acks = views.flatMap(({ received }) => received.filter(({ name }) => name === 'SET_PROTOCOL_FEATURES'));
    if (acks.length === 0) return notApplicable('no protocol features were acked');
    return judged(
      [...otherwise(views), ...views.flatMap(channelless), ...askedOtherwise(views)],
      hold(`${counted(acks.length, 'SET_PROTOCOL_FEATURES', 'SET_PROTOCOL_FEATURES')} alike`, [acks.at(-1)!.seq]),
    );
  },
};
