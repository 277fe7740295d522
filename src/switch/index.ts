/** A learning switch with a host that guests can ping, pure over bytes, and the capture of what passes its ports. */
export { macText } from './address.js';
export { Capture, type CaptureCounters, type CaptureOptions } from './capture.js';
export { completeChecksum } from './checksum.js';
export type { HostOptions } from './host.js';
export type { DropReason, SwitchNotice } from './notice.js';
export type { Direction } from './pcapng.js';
export { type PortCounters, Switch, type SwitchOptions, type SwitchPort } from './switch.js';
