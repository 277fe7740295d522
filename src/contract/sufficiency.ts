import type { Timeline } from '../timeline/index.js';
import {
  bit,
  featureNames,
  VHOST_USER_F_PROTOCOL_FEATURES,
  VHOST_USER_PROTOCOL_F_BACKEND_REQ,
  VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS,
  VHOST_USER_PROTOCOL_F_MQ,
  VHOST_USER_PROTOCOL_F_REPLY_ACK,
  VIRTIO_F_ACCESS_PLATFORM,
} from '../wire/index.js';
import { bigIn, contextOf, listIn, toBig } from './body.js';
import { FORWARDED } from './features.js';
import { periodAt } from './guest-state.js';
import { allRunning } from './ring-spans.js';
import { type SessionView, servedSessions, stuck } from './sessions.js';
import { perTimeline } from './timing.js';

/** What a back-end lacks. `seq` is the answer that tells it. */
export interface Lack {
  what: string;
  seq: number;
}

/** QEMU counts with so many memory slots where a back-end tells no number (VHOST_MEMORY_BASELINE_NREGIONS). */
const BASELINE_SLOTS = 8n;

/** virtio 1.2, 5.1.4.2: max_virtqueue_pairs is no more. A back-end that says so talks nonsense. */
const MOST_PAIRS = 0x8000n;

interface Answer {
  value: bigint;
  seq: number;
}

function answer(view: SessionView, name: string): Answer | undefined {
  const reply = view.replies.find((one) => one.name === name);
  const value = reply && bigIn(reply.body, 'value');
  return reply && value !== undefined ? { value, seq: reply.seq } : undefined;
}

/** A mask that the peer answered with; nothing without an answer. */
const offered = (view: SessionView, name: string): bigint => answer(view, name)?.value ?? 0n;

const protocol = (view: SessionView, number: number): boolean =>
  (offered(view, 'GET_PROTOCOL_FEATURES') & bit(number)) !== 0n;

/**
 * The guest's features that the back-end lacks: of the driver that was up when the session began, if its rings had run in
 * a session before, so that QEMU certainly knows them.
 */
function lackingFeatures(t: Timeline, view: SessionView): Lack | undefined {
  const reply = answer(view, 'GET_FEATURES');
  const { features, ready } = periodAt(t, view.open.seq);
  if (!reply || !features || !ready || ready.seq > view.open.seq) return undefined;
  const known = servedSessions(t).some((other) => {
    const running = other.open.seq < view.open.seq ? allRunning(t, other) : undefined;
    return running !== undefined && running.seq > features.seq && running.seq < reply.seq;
  });
  const lacking = (toBig(features.accepted) ?? 0n) & FORWARDED & ~reply.value;
  if (!known || lacking === 0n) return undefined;
  return { what: `lacks ${featureNames(lacking).join(', ')}, which the guest accepted`, seq: reply.seq };
}

/** Fewer queue pairs than the device has. */
function lackingQueues(t: Timeline, view: SessionView): Lack | undefined {
  const wanted = BigInt(contextOf(t)?.queuePairs ?? 1);
  const asked = answer(view, 'GET_QUEUE_NUM');
  if (asked && asked.value < wanted) return { what: `has ${asked.value} of ${wanted} queue pairs`, seq: asked.seq };
  const reply = answer(view, 'GET_PROTOCOL_FEATURES') ?? answer(view, 'GET_FEATURES');
  const multiqueue = protocol(view, VHOST_USER_PROTOCOL_F_MQ);
  const certain = answer(view, 'GET_PROTOCOL_FEATURES') !== undefined || withoutProtocol(view);
  if (!reply || asked || multiqueue || wanted === 1n || !certain) return undefined;
  return { what: `has 1 of ${wanted} queue pairs`, seq: reply.seq };
}

const withoutProtocol = (view: SessionView): boolean =>
  answer(view, 'GET_FEATURES') !== undefined &&
  (offered(view, 'GET_FEATURES') & bit(VHOST_USER_F_PROTOCOL_FEATURES)) === 0n;

/** Slots for guest memory, as far as the peer told; the baseline otherwise. */
function slots(view: SessionView): Answer | undefined {
  return protocol(view, VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS) ? answer(view, 'GET_MAX_MEM_SLOTS') : undefined;
}

/** The most regions that QEMU gave to the back-end of each session. */
const regions = perTimeline(
  (t: Timeline): ReadonlyMap<SessionView, number> =>
    new Map(
      servedSessions(t).map((view) => {
        const named = (wanted: string) => view.received.filter(({ name }) => name === wanted);
        const tables = named('SET_MEM_TABLE').map(({ body }) => listIn(body, 'regions').length);
        return [view, Math.max(0, named('ADD_MEM_REG').length - named('REM_MEM_REG').length, ...tables)];
      }),
    ),
);

/** The most regions that QEMU gave to one back-end whose session ended before an event. */
function mostRegions(t: Timeline, beforeSeq = Infinity): number {
  let most = 0;
  for (const [view, count] of regions(t)) if (count > most && view.toSeq < beforeSeq) most = count;
  return most;
}

/** Too few slots for the regions that QEMU had for a back-end before, which it therefore knows of. */
function lackingSlots(t: Timeline, view: SessionView): Lack | undefined {
  const told = slots(view);
  const wanted = told ? mostRegions(t, view.toSeq) : 0;
  if (!told || told.value >= BigInt(wanted)) return undefined;
  return { what: `has ${told.value} of ${wanted} memory slots`, seq: told.seq };
}

/** Whether the back-end of a session cannot hold the memory that the machine has, known to QEMU or not: no ring can run. */
export function tooFewSlots(t: Timeline, view: SessionView): boolean {
  const told = slots(view);
  return told !== undefined && told.value < BigInt(mostRegions(t));
}

/** What the back-end of a session certainly lacks: QEMU must not start it. */
export function lack(t: Timeline, view: SessionView): Lack | undefined {
  return lackingFeatures(t, view) ?? lackingQueues(t, view) ?? lackingSlots(t, view);
}

/**
 * Whether QEMU may refuse the back-end of a session: it lacks something, or may do so by QEMU's own rules, or it did
 * something wrong.
 */
export function mayRefuse(t: Timeline, view: SessionView): boolean {
  if (stuck(view) || lack(t, view)) return true;
  const features = offered(view, 'GET_FEATURES');
  if (answer(view, 'GET_FEATURES') && acceptedBefore(t, view, features)) return true;
  const pairs = answer(view, 'GET_QUEUE_NUM')?.value ?? 1n;
  const told = slots(view)?.value;
  const iommu =
    (features & bit(VIRTIO_F_ACCESS_PLATFORM)) !== 0n &&
    !(protocol(view, VHOST_USER_PROTOCOL_F_REPLY_ACK) && protocol(view, VHOST_USER_PROTOCOL_F_BACKEND_REQ));
  return pairs > MOST_PAIRS || iommu || (told !== undefined && told < mostSlotsBefore(t, view));
}

/** Some driver of the guest accepted more than is offered, or an earlier back-end had protocol features and this has none. */
function acceptedBefore(t: Timeline, view: SessionView, features: bigint): boolean {
  const before = <T extends { seq: number }>({ seq }: T) => seq < view.toSeq;
  const drivers = t.all('driver.features').filter(before);
  if (drivers.some(({ accepted }) => ((toBig(accepted) ?? 0n) & FORWARDED & ~features) !== 0n)) return true;
  return (
    withoutProtocol(view) && servedSessions(t).some((other) => other.toSeq < view.toSeq && !withoutProtocol(other))
  );
}

/** Slots for guest memory that QEMU counts with in a session. */
export const memorySlots = (view: SessionView): bigint => slots(view)?.value ?? BASELINE_SLOTS;

const allSlots = perTimeline(
  (t: Timeline): ReadonlyMap<SessionView, bigint> =>
    new Map(servedSessions(t).map((view) => [view, memorySlots(view)])),
);

/** "This limit should never decrease" (vhost_user_backend_init). */
function mostSlotsBefore(t: Timeline, view: SessionView): bigint {
  let most = 0n;
  for (const [other, told] of allSlots(t)) if (told > most && other.toSeq < view.toSeq) most = told;
  return most;
}
