import type { Fault } from './fault.js';
import { guestFaults } from './guest.js';
import { handshakeFaults } from './handshake.js';
import { listenerFaults } from './listener.js';
import { migrationFaults } from './migration.js';
import { redialFaults } from './redial.js';
import { ringFaults } from './rings.js';
import { startUpFaults } from './start-up.js';
import { survivalFaults } from './survival.js';

export type { Fault, TwinFault } from './fault.js';

/** Every fault, by theme. */
export const faults: readonly Fault[] = [
  ...startUpFaults,
  ...survivalFaults,
  ...listenerFaults,
  ...redialFaults,
  ...handshakeFaults,
  ...ringFaults,
  ...guestFaults,
  ...migrationFaults,
];
