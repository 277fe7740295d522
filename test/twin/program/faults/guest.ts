import { type Fault, isReturn, onReturn } from './fault.js';

/** Every so many packets one is meddled with. */
const EVERY = 8;

/** Meddles with every so many frames of a return; `previous` is the frame before, whenever that was sent. */
const meddling = (change: (frame: Buffer, previous: Buffer | undefined) => void): Fault['behaviour'] => ({
  tampers: (frames, { count, last }, connection) => {
    for (const [i, frame] of frames.entries())
      if (isReturn(connection) && (count + i) % EVERY === EVERY - 1) change(frame, frames[i - 1] ?? last);
  },
});

const needsDriver = { role: 'both', needsDriver: true } as const;

/** How long after a loss the monitor begins to lie. */
const LIE_MS = 200;
const lying = new WeakSet<object>();

/** R31, R34, R45, R48, T1 to T3, M1: what the guest and management see of the device, of packets, and what the chardev says of itself. */
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
    name: 'address-lost',
    breaks: 'R48',
    ...needsDriver,
    description: 'The device has no address any more after a loss.',
    behaviour: { afterLoss: (twin) => twin.forgetAddress() },
  },
  {
    name: 'mtu-lost',
    breaks: 'R48',
    ...needsDriver,
    description: 'The device has no MTU any more after a loss.',
    behaviour: { afterLoss: (twin) => twin.forgetMtu() },
  },
  {
    name: 'mtu-not-told',
    breaks: 'R45',
    ...needsDriver,
    description: 'Does not tell the back-end the MTU on a return.',
    behaviour: onReturn('NET_SET_MTU', () => []),
  },
  {
    name: 'queue-not-enabled',
    breaks: 'R27',
    ...needsDriver,
    description: 'Forgets to enable the TX rings on a return.',
    behaviour: onReturn('SET_VRING_ENABLE', (message) => {
      const { payload } = message;
      return payload.kind === 'vring-state' && payload.index % 2 === 1 ? [] : [message];
    }),
  },
  {
    name: 'given-up-not-disabled',
    breaks: 'R27',
    ...needsDriver,
    queuePairs: 4,
    description: 'Leaves the rings enabled that the guest uses no more on a return.',
    behaviour: onReturn('SET_VRING_ENABLE', (message) => {
      const { payload } = message;
      return payload.kind === 'vring-state' && payload.num === 0 ? [] : [message];
    }),
  },
  {
    name: 'taken-up-not-enabled',
    breaks: 'R27',
    ...needsDriver,
    queuePairs: 4,
    description: 'Does not enable the rings that the guest uses again on a return.',
    behaviour: { followsMorePairs: (connection) => !isReturn(connection) },
  },
  {
    name: 'change-refused',
    breaks: 'R27',
    ...needsDriver,
    queuePairs: 4,
    description: 'Refuses to change the number of queue pairs on a return.',
    behaviour: { changesPairs: (connection) => !isReturn(connection) },
  },
  {
    name: 'tx-corrupted',
    breaks: 'T2',
    alsoBreaks: ['T1'],
    ...needsDriver,
    description: `Flips a bit at the end of every ${EVERY}th packet after a return.`,
    behaviour: meddling((frame) => {
      frame[frame.length - 1]! ^= 1;
    }),
  },
  {
    name: 'tx-duplicated',
    breaks: 'T2',
    alsoBreaks: ['T1'],
    ...needsDriver,
    description: `Sends the packet before it in place of every ${EVERY}th packet after a return.`,
    behaviour: meddling((frame, previous) => previous?.copy(frame)),
  },
  {
    name: 'tx-reordered',
    breaks: 'T3',
    ...needsDriver,
    description: `Sends every ${EVERY}th packet after a return before the packet before it.`,
    behaviour: meddling((frame, previous) => {
      const later = Buffer.from(frame);
      previous?.copy(frame);
      later.copy(previous!);
    }),
  },
  {
    name: 'tx-lost',
    breaks: 'T2',
    alsoBreaks: ['T1'],
    ...needsDriver,
    description: `Sends zeros in place of every ${EVERY}th packet after a return.`,
    behaviour: meddling((frame) => frame.fill(0)),
  },
  {
    name: 'used-index-forgotten',
    breaks: 'T2',
    ...needsDriver,
    description: 'Counts from 0 what it uses of a TX ring by itself while the back-end is away.',
    behaviour: { takesOverUsed: false },
  },
  {
    name: 'connected-twice',
    breaks: 'R34',
    role: 'both',
    needsDriver: false,
    description: 'Tells management twice of a peer that returned.',
    behaviour: { announces: (event) => (event === 'CONNECTED' ? [event, event] : [event]) },
  },
  {
    name: 'loss-not-announced',
    breaks: 'R34',
    role: 'both',
    needsDriver: false,
    description: 'Does not tell management of a loss.',
    behaviour: { announces: (event) => (event === 'CONNECTED' ? [event] : []) },
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
  {
    name: 'chardev-misnamed',
    breaks: 'R34',
    role: 'both',
    needsDriver: false,
    description: 'Tells management of a peer with the name of the netdev for that of the chardev.',
    behaviour: { tellsChardev: () => 'n0' },
  },
  {
    name: 'filename-lost',
    breaks: 'M1',
    role: 'both',
    needsDriver: false,
    description: 'The monitor no longer says where the socket of a chardev is that nobody is connected to.',
    behaviour: { names: (filename, connected) => (connected ? filename : 'disconnected:socket') },
  },
];
