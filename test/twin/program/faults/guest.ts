import { type Fault, isReturn } from './fault.js';

/** Every so many packets one is meddled with. */
const EVERY = 8;

const isHit = (nth: number, connection: number): boolean => isReturn(connection) && nth % EVERY === EVERY - 1;

const needsDriver = { role: 'both', needsDriver: true } as const;

/** How long after a loss the monitor begins to lie. */
const LIE_MS = 200;
const lying = new WeakSet<object>();

/** R31, T1, T2, M1: what the guest sees of the link and of its packets, and what the chardev says of itself. */
export const guestFaults: readonly Fault[] = [
  {
    name: 'link-not-lowered',
    breaks: 'R31',
    ...needsDriver,
    description: 'The guest’s link stays up through a loss.',
    behaviour: { linkAfter: () => [true] },
  },
  {
    name: 'link-not-raised',
    breaks: 'R31',
    ...needsDriver,
    description: 'The guest’s link stays down after the return.',
    behaviour: { linkAfter: () => [false] },
  },
  {
    name: 'link-flaps',
    breaks: 'R31',
    ...needsDriver,
    description: 'The guest’s link goes up, down and up again on the return.',
    behaviour: { linkAfter: (what) => (what === 'loss' ? [false] : [true, false, true]) },
  },
  {
    name: 'queue-not-enabled',
    breaks: 'R27',
    ...needsDriver,
    description: 'Forgets to enable the TX rings on a return.',
    behaviour: {
      outgoing: (message, { connection }) => {
        const { name, payload } = message;
        const isTx = payload.kind === 'vring-state' && payload.index % 2 === 1;
        return isReturn(connection) && name === 'SET_VRING_ENABLE' && isTx ? [] : [message];
      },
    },
  },
  {
    name: 'tx-corrupted',
    breaks: 'T2',
    alsoBreaks: ['T1'],
    ...needsDriver,
    description: `Flips a bit at the end of every ${EVERY}th packet after a return.`,
    behaviour: {
      tampers: (frame, _previous, nth, connection) => {
        if (isHit(nth, connection)) frame[frame.length - 1]! ^= 1;
      },
    },
  },
  {
    name: 'tx-duplicated',
    breaks: 'T2',
    alsoBreaks: ['T1'],
    ...needsDriver,
    description: `Sends the packet before it in place of every ${EVERY}th packet after a return.`,
    behaviour: {
      tampers: (frame, previous, nth, connection) => {
        if (isHit(nth, connection)) previous?.copy(frame);
      },
    },
  },
  {
    name: 'tx-lost',
    breaks: 'T2',
    alsoBreaks: ['T1'],
    ...needsDriver,
    description: `Sends zeros in place of every ${EVERY}th packet after a return.`,
    behaviour: {
      tampers: (frame, _previous, nth, connection) => {
        if (isHit(nth, connection)) frame.fill(0);
      },
    },
  },
  {
    name: 'chardev-lies-connected',
    breaks: 'M1',
    role: 'both',
    needsDriver: false,
    description: `From ${LIE_MS} ms after a loss on, the monitor says that the chardev is connected.`,
    behaviour: {
      afterLoss: (twin) => {
        lying.delete(twin);
        setTimeout(() => lying.add(twin), LIE_MS);
      },
      reportsConnected: (twin) => twin.connected || lying.has(twin),
    },
  },
];
