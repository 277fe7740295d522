import type { EventOf, Timeline } from '../timeline/index.js';
import { bit, virtioNetFeatures } from '../wire/index.js';
import { bodyIn, toBig } from './body.js';
import { perTimeline } from './timing.js';

/** What the guest negotiated between two resets of the device. */
export interface DriverPeriod {
  /** seq of the reset that began it; -1 for the first. */
  fromSeq: number;
  /** seq of the reset that ended it; Infinity for the last. */
  toSeq: number;
  /** When it ended; Infinity for the last. */
  to: number;
  features?: EventOf<'driver.features'>;
  ready?: EventOf<'driver.ready'>;
  /** What the device did to a ring, after which the driver touches none of them any more. */
  broken?: EventOf<'driver.broken'>;
}

/** The periods in order; there is always one. A reset of the whole machine resets the device too. */
export const driverPeriods = perTimeline((t: Timeline): readonly DriverPeriod[] => {
  const resets = [...t.all('driver.reset'), ...t.all('qmp.command').filter((c) => c.execute === 'system_reset')].sort(
    (a, b) => a.seq - b.seq,
  );
  return [undefined, ...resets].map((reset, i) => {
    const fromSeq = reset?.seq ?? -1;
    const toSeq = resets[i]?.seq ?? Infinity;
    const features = t.last('driver.features', (event) => event.seq > fromSeq, toSeq);
    const ready = t.last('driver.ready', (event) => event.seq > fromSeq, toSeq);
    const broken = t.first('driver.broken', ({ rule, seq }) => rule === 'ring' && seq < toSeq, fromSeq);
    return {
      fromSeq,
      toSeq,
      to: resets[i]?.t ?? Infinity,
      ...(features ? { features } : {}),
      ...(ready ? { ready } : {}),
      ...(broken ? { broken } : {}),
    };
  });
});

/** The period that event number `seq` falls into. */
export function periodAt(t: Timeline, seq: number): DriverPeriod {
  const periods = driverPeriods(t);
  return periods.find((period) => seq > period.fromSeq && seq <= period.toSeq) ?? periods.at(-1)!;
}

/**
 * From which event on rings are set up for the driver of a period: its FEATURES_OK. A reset is recorded at its own time, and
 * what QEMU had sent for the driver before it may be recorded after it.
 */
export function negotiatedSeq({ features, fromSeq }: DriverPeriod): number {
  return features?.seq ?? fromSeq;
}

/** The features that the guest accepted in a period; undefined before FEATURES_OK. */
export function acceptedIn(period: DriverPeriod): bigint | undefined {
  return toBig(period.features?.accepted);
}

/** Whether the guest is to announce itself: it accepted VIRTIO_NET_F_GUEST_ANNOUNCE. */
export const announcesItself = (t: Timeline, seq: number): boolean =>
  ((acceptedIn(periodAt(t, seq)) ?? 0n) & bit(virtioNetFeatures.VIRTIO_NET_F_GUEST_ANNOUNCE)) !== 0n;

/** Whether the guest is one that the tester does not drive: what its driver does is not recorded. */
export const unseenGuest = (t: Timeline): boolean =>
  t.events[0]?.type === 'run.begin' && t.events[0].driver === 'guest';

/** Whether QEMU is an operator's: it may have started long before its monitor was asked, if it is at all. */
export const joined = (t: Timeline): boolean => t.events[0]?.type === 'run.begin' && t.events[0].joined === true;

/** The data rings that the driver uses (the control queue is QEMU's own). */
export function ringsOf(ready: EventOf<'driver.ready'>): EventOf<'driver.ready'>['rings'] {
  return ready.rings.filter((ring) => ring.index < 2 * ready.pairs);
}

/** States of a migration in which the virtual machine does not run, and those that it runs on from. */
const halted: ReadonlySet<string> = new Set(['pre-switchover', 'device', 'completed']);
const resumed: ReadonlySet<string> = new Set(['failed', 'cancelled']);

/**
 * The least and the most queue pairs that the guest used at some time from one event number to another: between its asking
 * for another number and the device's answer it may be either.
 */
export function pairsBetween(
  t: Timeline,
  ready: EventOf<'driver.ready'>,
  fromSeq: number,
  toSeq: number,
): { least: number; most: number } {
  const changes = t.all('driver.pairs').filter(({ seq }) => seq > ready.seq);
  const asked = changes.filter(({ answered }) => !answered);
  const until = (i: number) =>
    asked[i] ? (changes.find(({ seq, answered }) => answered && seq > asked[i]!.seq)?.seq ?? Infinity) : Infinity;
  const used = [ready, ...asked].filter(({ seq }, i) => seq <= toSeq && until(i) >= fromSeq).map(({ pairs }) => pairs);
  // Nothing is used before the device is up; what is asked about then is what it comes up with.
  if (used.length === 0) used.push(ready.pairs);
  return { least: Math.min(...used), most: Math.max(...used) };
}

/**
 * Since when a guest that is up can expect running rings: not while `stop`, `set_link` or a migration hold them back by command.
 * @returns undefined while held back at event number `seq`; else the moment the last hold ended (0 without any)
 */
export function freeSince(t: Timeline, seq: number): number | undefined {
  const stop = t.last('qmp.command', (c) => c.execute === 'stop' || c.execute === 'cont', seq);
  const link = t.last('qmp.command', (c) => c.execute === 'set_link', seq);
  const migration = t.last('migration.status', ({ status }) => halted.has(status) || resumed.has(status), seq);
  const after = migration && migration.seq > (stop?.seq ?? -1) ? migration : undefined;
  if (after && halted.has(after.status)) return undefined;
  if (stop?.execute === 'stop' || bodyIn(link?.arguments ?? null, 'up') === false) return undefined;
  return Math.max(stop?.t ?? 0, link?.t ?? 0, after?.t ?? 0);
}
