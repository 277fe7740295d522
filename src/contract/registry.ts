import type { Timeline } from '../timeline/index.js';
import { R47 } from './alike.js';
import { R37 } from './back-channel.js';
import { M1 } from './chardev.js';
import { R12, R13, R14, R15 } from './client.js';
import { R48 } from './device.js';
import { R23 } from './features.js';
import { R31 } from './guest.js';
import { R43, T5 } from './guest-system.js';
import { R18, R21, R28 } from './handshake.js';
import { R41 } from './hot-plug.js';
import { R5 } from './leaks.js';
import { R51 } from './log.js';
import { R40 } from './memory.js';
import { R22 } from './messages.js';
import { R52 } from './migrated-rings.js';
import { R35, R39, T4 } from './migration.js';
import { R42 } from './monitors.js';
import { R30 } from './negotiated.js';
import { R34 } from './netdev-events.js';
import { R26 } from './notifiers.js';
import { R10, R16, R17 } from './options.js';
import { R1, R2, R3, R4 } from './process.js';
import { R29 } from './refusal.js';
import type { Judgement, Requirement } from './requirement.js';
import { R44 } from './rest.js';
import { R24, R38 } from './ring-base.js';
import { R25 } from './ring-memory.js';
import { R20, R27 } from './ring-setup.js';
import { R32 } from './ring-stop.js';
import { R6, R7, R8, R9 } from './server.js';
import { R11, R19 } from './start-up.js';
import { R45, R46, R49 } from './told.js';
import { T1, T2 } from './traffic.js';
import { T3 } from './traffic-order.js';
import { R36 } from './wrong-answers.js';
import { R50 } from './yank.js';

/** Every requirement, in the contract's order; then traffic and the chardev model. */
export const registry: readonly Requirement[] = [
  ...[R1, R2, R3, R4, R5],
  ...[R6, R7, R8, R9, R10, R11],
  ...[R12, R13, R14, R15, R16, R17],
  ...[R18, R19, R20, R21, R22],
  ...[R23, R24, R25, R26, R27, R28],
  ...[R29, R30, R31, R32],
  ...[R34, R35, R36, R37, R38, R39, R40, R41, R42, R43, R44, R45, R46, R47, R48, R49, R50, R51, R52],
  ...[T1, T2, T3, T4, T5],
  M1,
];

/** One requirement's judgement of a timeline. */
export interface Result {
  requirement: Requirement['id'];
  judgement: Judgement;
}

/** Judges a timeline by every requirement, in the registry's order. Pure. */
export function judgeAll(t: Timeline): Result[] {
  return registry.map(({ id, judge }) => ({ requirement: id, judgement: judge(t) }));
}
