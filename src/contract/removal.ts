import { CHARDEV_ID, NETDEV_ID, NIC_ID } from '../qemu/index.js';
import type { Event, EventOf, Json, Timeline } from '../timeline/index.js';
import { answerTo } from './body.js';
import { perTimeline, type Span, uncovered } from './timing.js';

/** A QMP command that QEMU carried out: the command and its answer. */
interface Done {
  asked: EventOf<'qmp.command'>;
  answered: EventOf<'qmp.reply'>;
}

/** The netdev was taken away, its chardev with it, and each was perhaps added again. */
export interface Removal extends Done {
  /**
   * From when on nothing may be left of it: the answer, or the end of the network device that used it, which keeps it until
   * then from 10.0 on (net/net.c, qemu_del_net_client). Absent while there is such a device.
   */
  gone?: Event;
  chardev?: Added;
  netdev?: Added;
}

/** What was asked for, and its answer unless that never came. */
interface Added {
  asked: EventOf<'qmp.command'>;
  answered?: EventOf<'qmp.reply'>;
}

const nameOf = (data: Json): unknown => (data as { device?: Json }).device;
const idOf = (args: Json | undefined): unknown => (args as { id?: Json } | undefined)?.id;

/** The commands of one kind about one thing that QEMU did not refuse. */
function commands(t: Timeline, execute: string, id: string): Added[] {
  return t
    .all('qmp.command')
    .filter((command) => command.execute === execute && idOf(command.arguments) === id)
    .flatMap((asked) => {
      const answered = answerTo(t, asked);
      if (answered?.error !== undefined) return [];
      return [answered ? { asked, answered } : { asked }];
    });
}

/** From when on no network device uses a netdev that was removed with this answer. */
function unused(t: Timeline, answered: EventOf<'qmp.reply'>): Event | undefined {
  const ended = ({ event, data }: EventOf<'qmp.event'>) => event === 'DEVICE_DELETED' && nameOf(data) === NIC_ID;
  const before = t.last('qmp.event', ended, answered.seq);
  const added = commands(t, 'device_add', NIC_ID).findLast(({ asked }) => asked.seq < answered.seq);
  const there = before === undefined || (added !== undefined && added.asked.seq > before.seq);
  return there ? t.first('qmp.event', ended, answered.seq) : answered;
}

/** Every time that the netdev was removed, in order. One that QEMU refused is none. */
export const removals = perTimeline((t: Timeline): readonly Removal[] => {
  const chardevs = commands(t, 'chardev-add', CHARDEV_ID);
  const netdevs = commands(t, 'netdev_add', NETDEV_ID);
  const removed = commands(t, 'netdev_del', NETDEV_ID).flatMap(({ asked, answered }) =>
    answered ? [{ asked, answered }] : [],
  );
  return removed.map((removal, i) => {
    const within = ({ asked }: Added) =>
      asked.seq > removal.asked.seq && asked.seq < (removed[i + 1]?.asked.seq ?? Infinity);
    const chardev = chardevs.find(within);
    const netdev = netdevs.find(within);
    const gone = unused(t, removal.answered);
    return { ...removal, ...(gone ? { gone } : {}), ...(chardev ? { chardev } : {}), ...(netdev ? { netdev } : {}) };
  });
});

/** When there was no chardev that could listen or dial: until QEMU was asked to add one. */
export const withoutChardev = perTimeline((t: Timeline): readonly Span[] =>
  removals(t).map(({ asked, chardev }) => ({ from: asked.t, to: chardev?.asked.t ?? Infinity })),
);

/** When a listening QEMU's socket may be absent: until it had added the chardev. */
export const withoutSocket = perTimeline((t: Timeline): readonly Span[] =>
  removals(t).map(({ asked, chardev }) => ({ from: asked.t, to: chardev?.answered?.t ?? Infinity })),
);

/** When there was no netdev that could serve a connection: until QEMU was asked to add one. */
export const withoutNetdev = perTimeline((t: Timeline): readonly Span[] =>
  removals(t).map(({ asked, netdev }) => ({ from: asked.t, to: netdev?.asked.t ?? Infinity })),
);

/**
 * When QEMU was adding a netdev and had no peer for it: the command, and the monitor with it, waits for one (net_vhost_user_init).
 * In the handshake that follows QEMU owes as much as in any other.
 */
export const adding = perTimeline((t: Timeline): readonly Span[] => {
  const sessions = t.sessions.map(({ open, close }) => ({ from: open.t, to: close?.t ?? Infinity }));
  return removals(t).flatMap(({ netdev }) =>
    netdev ? uncovered({ from: netdev.asked.t, to: netdev.answered?.t ?? Infinity }, sessions) : [],
  );
});
