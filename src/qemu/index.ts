export {
  type FoundQemu,
  isSocket,
  qemuProcess,
  qemusWith,
  type SocketArguments,
  socketArguments,
  startTime,
} from './arguments.js';
export { type BoundedRun, boundedRun } from './bounded-run.js';
export {
  type AccelChoice,
  accelChoices,
  CHARDEV_ID,
  CONSOLE_ID,
  type CommandLineOptions,
  chardevId,
  commandLine,
  type GuestOptions,
  type MachineExtra,
  type MachineType,
  machineExtras,
  machineTypes,
  NETDEV_ID,
  NIC_ID,
  type Pluggable,
  plugCommand,
  pluggables,
} from './command-line.js';
export { type Accelerator, atLeast, type QemuFacts } from './facts.js';
export { haltBios } from './halt-bios.js';
export { Heartbeat, type HeartbeatOptions, startHeartbeat } from './heartbeat.js';
export { buildIdOf, identify, type QemuIdentity } from './identity.js';
export { guestAccel } from './kvm.js';
export { findProgram, findQemu } from './locate.js';
export { askVersion, probe } from './probe.js';
export { type LaunchOptions, launch, type QemuExit, type QemuProcess } from './process.js';
export { QemuError, type QemuErrorCode } from './qemu-error.js';
export { type Execute, parseQmp, QmpClient, QmpError, recordedCommands, refusal } from './qmp.js';
export * from './qtest.js';
export { SecondMonitor } from './second-monitor.js';
export { type PrivateDir, Workspace } from './workspace.js';
