/** What QEMU owes a vhost-user back-end that leaves and returns: requirements, the chardev's model, and their judges. */
export {
  type ChardevHistory,
  type IllegalTransition,
  legalTransitions,
  M1,
  type Observation,
  observe,
  type TcpChardevState,
} from './chardev.js';
export type { BreakKind } from './judgement.js';
export { judgedOptions, optionsRefused } from './options.js';
export { type Outage, outages } from './outages.js';
export { QUIT_EXIT_MS } from './process.js';
export { judgeAll, type Result, registry } from './registry.js';
export { type ContractLevel, type Judgement, levels, type Requirement } from './requirement.js';
export { type Stall, stalls } from './stalls.js';
export { spent } from './timing.js';
export { CONTRACT_VERSION } from './version.js';
