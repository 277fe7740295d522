import type { EventOf, Timeline } from '../timeline/index.js';
import { bigIn, toBig } from './body.js';
import { announcesItself } from './guest-state.js';
import { type Break, counted, hold, judged, notApplicable } from './judgement.js';
import type { Requirement } from './requirement.js';
import { servedSessions } from './sessions.js';

/** Features that a driver was offered and a later one was not, or the other way round, though all peers offered the same. */
function drifted(t: Timeline): Break[] {
  const replies = servedSessions(t).flatMap((view) => view.replies.filter(({ name }) => name === 'GET_FEATURES'));
  if (new Set(replies.map(({ body }) => bigIn(body, 'value'))).size !== 1) return [];
  const [first, ...later] = t.all('driver.features');
  return later.flatMap(({ offered, seq }): Break[] => {
    if (toBig(offered) === toBig(first!.offered)) return [];
    const seen = `the guest is offered ${offered}, it was ${first!.offered} before`;
    return [{ kind: 'violation', seen, events: [first!.seq, seq] }];
  });
}

const words = ({ mac, pairs, mtu }: EventOf<'driver.config'>): string =>
  [
    `MAC ${mac}`,
    ...(pairs === undefined ? [] : [counted(pairs, 'queue pair')]),
    ...(mtu === undefined ? [] : [`MTU ${mtu}`]),
  ].join(', ');

/** A configuration space that says something else than at first sight. What is told depends on what is offered. */
function reconfigured(t: Timeline): Break[] {
  const [first, ...later] = t.all('driver.config');
  const differs = (config: EventOf<'driver.config'>) =>
    (['mac', 'pairs', 'mtu'] as const).some((key) => (config[key] ?? first![key]) !== (first![key] ?? config[key]));
  return later.flatMap((config): Break[] => {
    if (!differs(config)) return [];
    const seen = `the device has ${words(config)}, it had ${words(first!)}`;
    return [{ kind: 'violation', seen, events: [first!.seq, config.seq] }];
  });
}

/** Configuration spaces that ask a guest to announce itself that did not offer to. */
function announcing(t: Timeline): Break[] {
  return t.all('driver.config').flatMap(({ announce, seq }): Break[] => {
    if (!announce || announcesItself(t, seq)) return [];
    const seen = 'the device asks the guest to announce itself, which it did not offer to';
    return [{ kind: 'violation', seen, events: [seq] }];
  });
}

/** What a device did that the driver could not bring up, though one was up before. */
function unusable(t: Timeline): Break[] {
  const before = t.first('driver.ready')?.seq ?? Infinity;
  return t
    .all('driver.broken')
    .filter(({ rule, seq }) => rule === 'device' && seq > before)
    .map(({ what, seq }) => ({ kind: 'violation', seen: `the driver cannot start again: ${what}`, events: [seq] }));
}

export const R48: Requirement = {
  id: 'R48',
  title: 'The guest keeps its device',
  sentence:
    'Whatever peer was lost, the device can be reset and set up again, offers its driver the same features, has the same address, queue pairs and MTU, and asks for no reset, nor for what the driver did not accept.',
  level: 'must',
  label: 'contract',
  sources: [
    'qemu:hw/net/virtio-net.c#virtio_net_get_features',
    'qemu:hw/net/virtio-net.c#virtio_net_get_config',
    'qemu:hw/virtio/virtio.c#virtio_error',
  ],
  allowed: 'Other features where peers offer different ones.',
  judge(t) {
    const looks = [...t.all('driver.features'), ...t.all('driver.config')];
    if (looks.length === 0) return notApplicable('no driver was up');
    const asked = t
      .all('driver.needs-reset')
      .map(({ seq }): Break => ({ kind: 'violation', seen: 'the device asks for a reset', events: [seq] }));
    const events = looks.map(({ seq }) => seq);
    return judged(
      [...unusable(t), ...asked, ...reconfigured(t), ...drifted(t), ...announcing(t)],
      hold(`${counted(t.all('driver.features').length, 'start')} of a driver found the same device`, events),
    );
  },
};
