export { Driver, type DriverOptions, type StartChoice } from './driver.js';
export { DriverError, type DriverErrorCode } from './driver-error.js';
export { type FrameShape, frameShapes } from './frame.js';
export type { AccessSize, GuestBus } from './guest-bus.js';
export type { MachineName } from './machine.js';
export { type Personality, type PersonalityName, personalities } from './personality.js';
