import type { EventOf, Timeline } from '../timeline/index.js';
import { bit, type ProtocolFeatureName, protocolFeatures, specById } from '../wire/index.js';
import { bigIn } from './body.js';
import { type Break, counted, hold, judged, notApplicable } from './judgement.js';
import type { Requirement } from './requirement.js';
import { type SessionView, servedSessions } from './sessions.js';

const isProtocolFeature = (name: string | undefined): name is ProtocolFeatureName =>
  name !== undefined && name in protocolFeatures;

/** The protocol feature that a message needs. */
function needs({ request }: EventOf<'wire.recv'>): ProtocolFeatureName | undefined {
  const name = specById('front-end', request)?.needs;
  return isProtocolFeature(name) ? name : undefined;
}

/** Messages that need a protocol feature which was not acked before them. */
function unnegotiated(view: SessionView): Break[] {
  let acked = 0n;
  return view.received.flatMap((message): Break[] => {
    if (message.name === 'SET_PROTOCOL_FEATURES') acked = bigIn(message.body, 'value') ?? 0n;
    const feature = needs(message);
    if (!feature || (acked & bit(protocolFeatures[feature])) !== 0n) return [];
    const seen = `session ${view.session}: ${message.name} (message ${message.index}) needs ${feature}, which was not acked`;
    return [{ kind: 'violation', seen, events: [message.seq] }];
  });
}

export const R30: Requirement = {
  id: 'R30',
  title: 'QEMU sends nothing that was not negotiated',
  sentence:
    'A message that belongs to a protocol feature is sent only on a connection on which that feature was acked, whatever the back-end before had.',
  level: 'must',
  label: 'spec',
  sources: [
    'spec:Protocol features',
    'spec:Front-end message types',
    'qemu:hw/virtio/vhost-user.c#vhost_user_backend_init',
  ],
  allowed:
    'Messages that the specification gives to every back-end, and those of features that were acked before them.',
  judge(t: Timeline) {
    const views = servedSessions(t);
    const bound = views.flatMap(({ received }) => received.filter((message) => needs(message)));
    const breaks = views.flatMap(unnegotiated);
    const last = views.flatMap(({ received }) => received).at(-1);
    if (!last) return notApplicable('no message was received');
    return judged(
      breaks,
      hold(`${counted(bound.length, 'message')} of protocol features, all of them acked before`, [last.seq]),
    );
  },
};
