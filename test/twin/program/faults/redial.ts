import type { Fault } from './fault.js';

/** Pause between dials where the interval is ignored. */
const BUSY_MS = 20;
const UNASKED_MS = 500;

/** What these do instead of the interval, where one is configured. */
const instead = (ms: (reconnectMs: number, attempt: number) => number | undefined): Fault['behaviour'] => ({
  redialAfter: (reconnectMs, attempt) => (reconnectMs > 0 ? ms(reconnectMs, attempt) : undefined),
});

/** R12 to R15: when a dialling front-end dials. */
export const redialFaults: readonly Fault[] = [
  {
    name: 'redial-early',
    breaks: 'R12',
    role: 'client',
    needsDriver: false,
    description: 'Dials after 0.4 of the interval.',
    behaviour: instead((reconnectMs) => 0.4 * reconnectMs),
  },
  {
    name: 'redial-late',
    breaks: 'R12',
    role: 'client',
    needsDriver: false,
    description: 'Dials after 4 intervals.',
    behaviour: instead((reconnectMs) => 4 * reconnectMs),
  },
  {
    name: 'redial-once',
    breaks: 'R12',
    alsoBreaks: ['R14'],
    role: 'client',
    needsDriver: false,
    description: 'Dials once after a loss and gives up when nobody listens.',
    behaviour: instead((reconnectMs, attempt) => (attempt === 0 ? reconnectMs : undefined)),
  },
  {
    name: 'redial-busy',
    breaks: 'R12',
    role: 'client',
    needsDriver: false,
    description: `Dials every ${BUSY_MS} ms, whatever the interval.`,
    behaviour: instead(() => BUSY_MS),
  },
  {
    name: 'dial-without-reconnect',
    breaks: 'R13',
    role: 'client',
    needsDriver: false,
    description: 'Dials again after a loss although no interval is configured.',
    behaviour: { redialAfter: (reconnectMs) => (reconnectMs > 0 ? reconnectMs : UNASKED_MS) },
  },
  {
    name: 'two-initial-connections',
    breaks: 'R14',
    alsoBreaks: ['M1'],
    role: 'client',
    needsDriver: false,
    description: 'Opens two connections at the start and uses one.',
    behaviour: { initialConnections: 2 },
  },
  {
    name: 'reports-every-dial',
    breaks: 'R15',
    role: 'client',
    needsDriver: false,
    description: 'Reports every dial that fails.',
    behaviour: { reportsDial: () => true },
  },
  {
    name: 'reports-once-for-ever',
    breaks: 'R15',
    role: 'client',
    needsDriver: false,
    description: 'Reports failed dials of the first outage only.',
    behaviour: { reportsDial: (inOutage, before) => inOutage + before === 0 },
  },
  {
    name: 'no-initial-retry',
    breaks: 'R14',
    role: 'client',
    needsDriver: false,
    description: 'Does not dial again when nobody listens at the start.',
    behaviour: { retriesAtStart: false },
  },
];
