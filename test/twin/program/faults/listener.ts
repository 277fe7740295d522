import { rmSync } from 'node:fs';
import type { Fault } from './fault.js';

const SELF_DIAL_MS = 3000;
/** How long a connection to itself stays: an observer must have the time to see it. */
const SELF_CONNECTION_MS = 2000;

/** Past the bound of 1 s within which a listener serves again. */
const LATE_MS = 5000;

/** R6 to R9: the listening socket. */
export const listenerFaults: readonly Fault[] = [
  {
    name: 'serve-second-client',
    breaks: 'R6',
    alsoBreaks: ['M1'],
    role: 'server',
    needsDriver: false,
    description: 'Begins the handshake with a second peer while the first is connected.',
    behaviour: { servesSecond: true },
  },
  {
    name: 'listener-not-rearmed',
    breaks: 'R7',
    role: 'server',
    needsDriver: false,
    description: 'Never serves a peer again after a loss; the kernel still accepts it.',
    behaviour: { rearmAfter: () => undefined },
  },
  {
    name: 'listener-rearmed-late',
    breaks: 'R7',
    role: 'server',
    needsDriver: false,
    description: `Serves the next peer only ${LATE_MS / 1000} s after a loss.`,
    behaviour: { rearmAfter: () => LATE_MS },
  },
  {
    name: 'self-dial-quiet',
    breaks: 'R8',
    alsoBreaks: ['R5'],
    role: 'server',
    needsDriver: false,
    description: 'Dials its own socket 3 s after a loss, unless a peer is back, and survives it.',
    behaviour: {
      afterLoss: (twin) => {
        setTimeout(async () => {
          if (twin.connected) return;
          const socket = await twin.dialSelf();
          setTimeout(() => socket.close(), SELF_CONNECTION_MS);
        }, SELF_DIAL_MS);
      },
    },
  },
  {
    name: 'path-recreated',
    breaks: 'R9',
    alsoBreaks: ['R7'],
    role: 'server',
    needsDriver: false,
    description: 'Binds a new socket on a loss and puts it in the place of its own.',
    behaviour: { afterLoss: (twin) => twin.soon(() => twin.recreateListener()) },
  },
  {
    name: 'path-removed',
    breaks: 'R9',
    alsoBreaks: ['R7'],
    role: 'server',
    needsDriver: false,
    description: 'Removes the path of its socket on a loss.',
    behaviour: { afterLoss: (twin) => rmSync(twin.socketPath, { force: true }) },
  },
];
