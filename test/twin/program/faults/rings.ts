import { bit, VHOST_F_LOG_ALL, VHOST_USER_F_PROTOCOL_FEATURES } from '../../../../src/wire/index.js';
import type { Moment, Outgoing } from '../behaviour.js';
import { type Fault, isReturn, onReturn } from './fault.js';

/** Where the rings of an earlier boot could have been. */
const STALE_BY = 0x1_0000n;
/** What a memory table that forgets hot-plugged memory would lack. */
const MISSING_MEMORY = 0x10_0000n;

type Change = (message: Outgoing, moment: Moment) => Outgoing;

/** Changes the messages of one name on a return. */
const changing = (name: Outgoing['name'], change: Change): Fault['behaviour'] =>
  onReturn(name, (message, moment) => [change(message, moment)]);

/** Replaces fields of a payload. */
const withPayload = (message: Outgoing, fields: object): Outgoing => ({
  ...message,
  payload: { ...message.payload, ...fields } as Outgoing['payload'],
});

const features = (change: (bits: bigint, before: number) => bigint): Fault['behaviour'] =>
  changing('SET_FEATURES', (message, { before }) =>
    message.payload.kind === 'u64' ? withPayload(message, { value: change(message.payload.value, before) }) : message,
  );

const ringNumber = (name: 'SET_VRING_NUM' | 'SET_VRING_BASE', change: (num: number) => number): Fault['behaviour'] =>
  changing(name, (message) =>
    message.payload.kind === 'vring-state' ? withPayload(message, { num: change(message.payload.num) }) : message,
  );

const withoutFd = (name: 'SET_VRING_KICK' | 'SET_VRING_CALL'): Fault['behaviour'] =>
  changing(name, (message) => ({ ...withPayload(message, { noFd: true }), fds: [] }));

const needsDriver = { role: 'both', needsDriver: true } as const;

/** R20, R23 to R26, R32, R38: how rings come back, and how they stop. */
export const ringFaults: readonly Fault[] = [
  {
    name: 'rings-before-features',
    breaks: 'R20',
    ...needsDriver,
    description: 'Sets the rings up before SET_FEATURES on a return.',
    behaviour: {
      startSteps: (steps, connection) =>
        isReturn(connection) ? [...steps.filter((step) => step !== 'features'), 'features'] : steps,
    },
  },
  {
    name: 'rings-before-mem-table',
    breaks: 'R20',
    alsoBreaks: ['R25'],
    ...needsDriver,
    description: 'Sets the rings up before SET_MEM_TABLE on a return.',
    behaviour: {
      startSteps: (steps, connection) =>
        isReturn(connection) && steps.includes('memory')
          ? [...steps.filter((step) => step !== 'memory'), 'memory']
          : steps,
    },
  },
  {
    name: 'features-forgotten',
    breaks: 'R23',
    alsoBreaks: ['T1', 'T2'],
    ...needsDriver,
    description: 'Acks no feature of the guest on a return: only that there are protocol features.',
    behaviour: features(() => bit(VHOST_USER_F_PROTOCOL_FEATURES)),
  },
  {
    name: 'features-extra',
    breaks: 'R23',
    alsoBreaks: ['R39'],
    ...needsDriver,
    description: 'Acks dirty logging on a return although nothing is logged.',
    behaviour: features((bits) => bits | bit(VHOST_F_LOG_ALL)),
  },
  {
    name: 'features-second-pair-forgotten',
    breaks: 'R23',
    alsoBreaks: ['T1', 'T2'],
    ...needsDriver,
    queuePairs: 2,
    description: 'Acks the features of the guest for the first pair only on a return.',
    behaviour: features((bits, before) => (before === 0 ? bits : bit(VHOST_USER_F_PROTOCOL_FEATURES))),
  },
  {
    name: 'base-zero',
    breaks: 'R24',
    alsoBreaks: ['R38', 'T1', 'T2'],
    ...needsDriver,
    description: 'Starts every ring at 0 on a return.',
    behaviour: ringNumber('SET_VRING_BASE', () => 0),
  },
  {
    name: 'base-off-by-one',
    breaks: 'R24',
    alsoBreaks: ['T1', 'T2'],
    ...needsDriver,
    description: 'Starts rings that were used one entry too low on a return.',
    behaviour: ringNumber('SET_VRING_BASE', (num) => Math.max(0, num - 1)),
  },
  {
    name: 'stale-ring-address',
    breaks: 'R25',
    alsoBreaks: ['R24', 'T1', 'T2'],
    ...needsDriver,
    description: 'Sends ring addresses that are not the driver’s on a return.',
    behaviour: changing('SET_VRING_ADDR', (message) => {
      if (message.payload.kind !== 'vring-addr') return message;
      const { descUserAddr, availUserAddr, usedUserAddr } = message.payload;
      return withPayload(message, {
        descUserAddr: descUserAddr + STALE_BY,
        availUserAddr: availUserAddr + STALE_BY,
        usedUserAddr: usedUserAddr + STALE_BY,
      });
    }),
  },
  {
    name: 'wrong-ring-size',
    breaks: 'R25',
    ...needsDriver,
    description: 'Announces rings of half their size on a return.',
    behaviour: ringNumber('SET_VRING_NUM', (num) => num / 2),
  },
  {
    name: 'memory-table-short',
    breaks: 'R25',
    ...needsDriver,
    description: 'Leaves the last MiB of guest memory out of the table on a return.',
    behaviour: changing('SET_MEM_TABLE', (message) => {
      if (message.payload.kind !== 'memory') return message;
      const last = message.payload.regions.length - 1;
      return withPayload(message, {
        regions: message.payload.regions.map((region, i) =>
          i === last ? { ...region, size: region.size - MISSING_MEMORY } : region,
        ),
      });
    }),
  },
  {
    name: 'no-kick-fd',
    breaks: 'R26',
    alsoBreaks: ['T1', 'T2'],
    ...needsDriver,
    description: 'Sends SET_VRING_KICK without an eventfd on a return.',
    behaviour: withoutFd('SET_VRING_KICK'),
  },
  {
    name: 'no-call-fd',
    breaks: 'R26',
    ...needsDriver,
    description: 'Sends SET_VRING_CALL without an eventfd on a return.',
    behaviour: withoutFd('SET_VRING_CALL'),
  },
  {
    name: 'call-ignored',
    breaks: 'R26',
    ...needsDriver,
    description: 'Does not interrupt the guest for a call on a return.',
    behaviour: { heedsCall: (connection) => !isReturn(connection) },
  },
  {
    name: 'tx-muted',
    breaks: 'R26',
    ...needsDriver,
    description: 'Hands TX rings over with the word that asks the guest not to kick on a return.',
    behaviour: { mutes: isReturn },
  },
  {
    name: 'stops-without-asking',
    breaks: 'R32',
    alsoBreaks: ['R24', 'T1', 'T2'],
    ...needsDriver,
    description: 'Does not ask for the position of a ring that it stops.',
    behaviour: { stopSteps: (steps) => steps.filter((step) => step !== 'bases') },
  },
  {
    name: 'status-before-bases',
    breaks: 'R32',
    ...needsDriver,
    description: 'Resets the device status before it asks for the positions of the rings.',
    behaviour: { stopSteps: (steps) => steps.toReversed() },
  },
  {
    name: 'status-not-reset',
    breaks: 'R32',
    ...needsDriver,
    description: 'Does not reset the device status of who is there when its rings stop.',
    behaviour: { stopSteps: (steps) => steps.filter((step) => step !== 'status') },
  },
  {
    name: 'stops-twice',
    breaks: 'R32',
    ...needsDriver,
    description: 'Asks for the position of a ring a second time.',
    behaviour: { stopSteps: (steps) => ['bases', ...steps] },
  },
  {
    name: 'kick-not-forwarded',
    breaks: 'R26',
    alsoBreaks: ['T1', 'T2'],
    ...needsDriver,
    description: 'Does not forward the guest’s kicks on a return.',
    behaviour: { forwardsKick: (connection) => !isReturn(connection) },
  },
];
