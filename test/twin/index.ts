import { faults, type TwinFault } from './program/faults/index.js';

export { buildTwin } from './build.js';
export type { TwinFault };

/** Every fault that the twin can make: set `TWIN_FAULT` to its name. Unset, the twin behaves like QEMU 10.0. */
export const twinFaults: readonly TwinFault[] = faults;
