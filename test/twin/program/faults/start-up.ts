import type { Fault } from './fault.js';

const takes = (wanted: string): Fault['behaviour'] => ({ refusesOption: (option) => option !== wanted });

/** R10, R11, R16, R17: what it makes of its options, and its word that it waits. */
export const startUpFaults: readonly Fault[] = [
  {
    name: 'listens-with-interval',
    breaks: 'R10',
    role: 'server',
    needsDriver: false,
    description: 'Takes a reconnect interval for a listener.',
    behaviour: takes('reconnect'),
  },
  {
    name: 'dials-with-wait',
    breaks: 'R16',
    role: 'client',
    needsDriver: false,
    description: 'Takes wait although it dials.',
    behaviour: takes('wait'),
  },
  {
    name: 'takes-unlisted-option',
    breaks: 'R17',
    role: 'client',
    needsDriver: false,
    description: 'Takes reconnect-ms, which it does not list.',
    behaviour: takes('reconnect-ms'),
  },
  {
    name: 'waits-silently',
    breaks: 'R11',
    role: 'server',
    needsDriver: false,
    description: 'Waits for its first peer without a word.',
    behaviour: { saysThatItWaits: false },
  },
];
