import type { Fault } from './fault.js';

const needsDriver = { role: 'both', needsDriver: true } as const;

/** R35, R39, R52, T4: migrations. */
export const migrationFaults: readonly Fault[] = [
  {
    name: 'migration-never-ends',
    breaks: 'R35',
    ...needsDriver,
    description: 'Copies memory and never comes to the switch-over.',
    behaviour: { endsMigration: false },
  },
  {
    name: 'paused-after-failure',
    breaks: 'R35',
    ...needsDriver,
    description: 'Leaves the machine stopped when its migration failed or was cancelled.',
    behaviour: { resumesAfterFailure: false },
  },
  {
    name: 'log-base-twice',
    breaks: 'R39',
    ...needsDriver,
    description: 'Hands the log over two times.',
    behaviour: { outgoing: (message) => (message.name === 'SET_LOG_BASE' ? [message, message] : [message]) },
  },
  {
    name: 'logging-left-on',
    breaks: 'R39',
    ...needsDriver,
    description: 'Goes on logging when a migration failed or was cancelled.',
    behaviour: { stopsLogging: false },
  },
  {
    name: 'logging-not-acked',
    breaks: 'R39',
    alsoBreaks: ['T4'],
    ...needsDriver,
    description: 'Hands the log over, and does not ack that it is to be used.',
    behaviour: {
      outgoing: (message) =>
        message.name === 'SET_FEATURES' && message.payload.kind === 'u64'
          ? [{ ...message, payload: { ...message.payload, value: message.payload.value & ~(1n << 26n) } }]
          : [message],
    },
  },
  {
    name: 'dirty-not-sent-again',
    breaks: 'T4',
    ...needsDriver,
    description: 'Sends each page once, whatever was written to it meanwhile.',
    behaviour: { resendsDirty: false },
  },
  {
    name: 'indices-not-saved',
    breaks: 'R52',
    ...needsDriver,
    description: 'Migrates every ring as if it were at its start.',
    behaviour: { savesIndices: false },
  },
];
