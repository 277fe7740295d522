import type { EventOf, Json, Timeline } from '../timeline/index.js';
import { bit, VIRTIO_F_ACCESS_PLATFORM } from '../wire/index.js';
import { bigIn, bodyIn, contextOf, listIn, numberIn, toBig } from './body.js';
import { acceptedIn, type DriverPeriod, driverPeriods, periodAt } from './guest-state.js';
import { type Break, counted, hold, judged, ms, notApplicable } from './judgement.js';
import type { Requirement } from './requirement.js';
import { spansIn } from './ring-spans.js';
import { ringOf, type SessionView, servedSessions, stuck, unowed } from './sessions.js';
import { memorySlots } from './sufficiency.js';
import { horizon } from './timing.js';

/** RAM that every machine has at its place: below the VGA hole, and from 1 MiB up to the lowest PCI hole (q35's, 2 GiB). */
const LOW_RAM_END = 0xa0000n;
const HIGH_RAM_START = 0x100000n;
const HIGH_RAM_LIMIT = 0x80000000n;

/** Plugged memory is shared before the device that brings it is said to be there. */
const PLUG_MS = 1000;

type Message = EventOf<'wire.recv'>;

const aboutMemory: ReadonlySet<string> = new Set(['SET_MEM_TABLE', 'ADD_MEM_REG', 'REM_MEM_REG']);

/** A region of guest memory that a front-end shares. */
export interface Region {
  guestAddr: bigint;
  size: bigint;
  userAddr: bigint;
}

function region(body: Json): Region | undefined {
  const guestAddr = bigIn(body, 'guestAddr');
  const size = bigIn(body, 'size');
  const userAddr = bigIn(body, 'userAddr');
  return guestAddr === undefined || size === undefined || userAddr === undefined
    ? undefined
    : { guestAddr, size, userAddr };
}

/** The memory table after a message; the same after one that is not about it. */
export function applied(table: readonly Region[], message: Message): readonly Region[] {
  if (message.name === 'SET_MEM_TABLE') return listIn(message.body, 'regions').flatMap((body) => region(body) ?? []);
  const one = region(bodyIn(message.body, 'region'));
  if (!one) return table;
  if (message.name === 'ADD_MEM_REG') return [...table, one];
  return table.filter((other) => other.guestAddr !== one.guestAddr);
}

/** A user address of QEMU's as guest address. */
function toGuest(table: readonly Region[], address: bigint | undefined): bigint | undefined {
  const at = table.find(
    ({ userAddr, size }) => address !== undefined && address >= userAddr && address < userAddr + size,
  );
  return at && address! - at.userAddr + at.guestAddr;
}

/** The first guest address of `from`..`to` that no region holds. */
function hole(table: readonly Region[], from: bigint, to: bigint): bigint | undefined {
  let at = from;
  for (const { guestAddr, size } of table.toSorted((a, b) => (a.guestAddr < b.guestAddr ? -1 : 1)))
    if (guestAddr <= at && at < guestAddr + size) at = guestAddr + size;
  return at < to ? at : undefined;
}

const hex = (value: bigint | undefined): string => (value === undefined ? 'nowhere' : `0x${value.toString(16)}`);

/** The driver's rings when a message came. DRIVER_OK returns after the set-up that it causes, so `ready` may come later. */
function driverRing(period: DriverPeriod, index: number | undefined) {
  return period.ready?.rings.find((ring) => ring.index === index);
}

/** Compares one ring message with the driver's ring. */
function ringFaults(t: Timeline, message: Message, table: readonly Region[]): string[] {
  const period = periodAt(t, message.seq);
  const ring = driverRing(period, ringOf(message));
  if (!ring) return [];
  if (message.name === 'SET_VRING_NUM') {
    const num = numberIn(message.body, 'num');
    return num === ring.size ? [] : [`size ${num}, the driver's is ${ring.size}`];
  }
  // With a vIOMMU the addresses are I/O virtual ones, translated by IOTLB messages.
  if (((acceptedIn(period) ?? 0n) & bit(VIRTIO_F_ACCESS_PLATFORM)) !== 0n) return [];
  return (['desc', 'avail', 'used'] as const).flatMap((part) => {
    const guest = toGuest(table, bigIn(message.body, part));
    return guest === toBig(ring[part]) ? [] : `${part} at ${hex(guest)}, the driver's is at ${ring[part]}`;
  });
}

/** Where QEMU says which memory devices it has. */
const told = ({ execute }: { execute: string }): boolean => execute === 'query-memory-devices';

/** DIMMs and the like that QEMU says it has. */
function plugged(reply: EventOf<'qmp.reply'> | undefined): { addr: bigint; size: bigint }[] {
  const devices = Array.isArray(reply?.value) ? reply.value : [];
  return devices.flatMap((device) => {
    const [addr, size] = ['addr', 'size'].map((key) => numberIn(bodyIn(device, 'data'), key));
    return addr === undefined || size === undefined ? [] : [{ addr: BigInt(addr), size: BigInt(size) }];
  });
}

/** What is wrong with the memory table once the first ring gets its addresses. */
function tableFaults(
  table: readonly Region[],
  memory: bigint,
  more: readonly { addr: bigint; size: bigint }[],
): string[] {
  const top = memory < HIGH_RAM_LIMIT ? memory : HIGH_RAM_LIMIT;
  const missing = [
    { addr: 0n, size: LOW_RAM_END < top ? LOW_RAM_END : top },
    { addr: HIGH_RAM_START, size: top - HIGH_RAM_START },
    ...more,
  ]
    .map(({ addr, size }) => hole(table, addr, addr + size))
    .find((at) => at !== undefined);
  return missing === undefined ? [] : [`the memory table lacks guest RAM at ${hex(missing)}`];
}

/** Walks through a session's messages. */
function faults(t: Timeline, view: SessionView): { addresses: number; breaks: Break[] } {
  const breaks: Break[] = [];
  let table: readonly Region[] = [];
  let addresses = 0;
  const note = (message: Message, what: string) =>
    breaks.push({ kind: 'violation', seen: `session ${view.session}: ${message.name} ${what}`, events: [message.seq] });
  for (const message of view.received) {
    if (aboutMemory.has(message.name)) {
      table = applied(table, message);
      const want = message.name === 'SET_MEM_TABLE' ? table.length : message.name === 'ADD_MEM_REG' ? 1 : 0;
      if (message.fds < want) note(message, `came with ${message.fds} file descriptors for ${counted(want, 'region')}`);
    } else if (message.name === 'SET_VRING_NUM' || message.name === 'SET_VRING_ADDR') {
      for (const fault of ringFaults(t, message, table)) note(message, `of ring ${ringOf(message)}: ${fault}`);
      if (message.name === 'SET_VRING_NUM') continue;
      const memory = contextOf(t)?.memory;
      if (memory !== undefined && addresses === 0)
        for (const fault of tableFaults(table, BigInt(memory), plugged(t.last('qmp.reply', told, message.seq))))
          note(message, fault);
      addresses++;
    }
  }
  return { addresses, breaks };
}

/** Plugged memory that QEMU tells management of, and not the back-end whose rings run. */
function unshared(t: Timeline, view: SessionView): Break[] {
  if (stuck(view)) return [];
  return t.all('qmp.reply').flatMap((reply): Break[] => {
    const devices = told(reply) ? plugged(reply) : [];
    const running = spansIn(t, view.session).filter(({ fromSeq, toSeq }) => fromSeq < reply.seq && toSeq > reply.seq);
    if (devices.length === 0 || running.length === 0) return [];
    const missing = (table: readonly Region[]) =>
      devices.map(({ addr, size }) => hole(table, addr, addr + size)).find((at) => at !== undefined);
    const changes = view.received.filter(({ name }) => aboutMemory.has(name));
    let table: readonly Region[] = [];
    for (const message of changes.filter(({ seq }) => seq < reply.seq)) table = applied(table, message);
    const at = missing(table);
    if (at === undefined || BigInt(table.length + devices.length) > memorySlots(view)) return [];
    const shared = changes.find((message) => {
      if (message.seq < reply.seq) return false;
      table = applied(table, message);
      return missing(table) === undefined;
    });
    const end = Math.min(shared?.t ?? Infinity, horizon(t).t, ...running.map(({ to }) => to));
    const wait = unowed(t, reply.t, end);
    if (wait <= PLUG_MS) return [];
    const seen = `session ${view.session}: memory plugged at ${hex(at)} was not shared in ${ms(wait)} of running rings`;
    return [{ kind: 'violation', seen, events: [reply.seq, ...(shared ? [shared.seq] : [])] }];
  });
}

export const R25: Requirement = {
  id: 'R25',
  title: "Rings and memory are the guest's",
  sentence:
    'Ring sizes and addresses are those of the driver, and the memory table holds all guest RAM with a file descriptor for each region, also that which is plugged while the rings run.',
  level: 'must',
  label: 'spec',
  sources: [
    'spec:Memory access',
    'qemu:hw/virtio/vhost.c#vhost_virtqueue_set_addr',
    'qemu:hw/virtio/vhost.c#vhost_commit',
    'defect:absent-during-guest-reset',
  ],
  allowed: `Addresses are translated through the table of the same connection; how RAM is cut into regions is free. Plugged memory is that of the last query-memory-devices; running rings have it ${PLUG_MS} ms after the answer, where the back-end has slots for it.`,
  judge(t) {
    if (driverPeriods(t).every((period) => !period.ready)) return notApplicable('no driver was up');
    const results = servedSessions(t).map((view) => faults(t, view));
    const breaks = [
      ...results.flatMap((result) => result.breaks),
      ...servedSessions(t).flatMap((view) => unshared(t, view)),
    ];
    const addresses = results.reduce((sum, result) => sum + result.addresses, 0);
    if (breaks.length === 0 && addresses === 0) return notApplicable('no ring got its addresses');
    return judged(breaks, hold(`${counted(addresses, 'ring set-up')} with the driver's size and addresses`));
  },
};
