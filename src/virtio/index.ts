export type { Chain, Segment } from './chain.js';
export {
  DeviceQueue,
  type DeviceQueueOptions,
  type RingLayout,
  type RingState,
  ringLayouts,
  roomOf,
} from './device-queue.js';
export type { GuestMemory } from './guest-memory.js';
export { type NetConfig, netConfigSize, parseNetConfig } from './net-config.js';
export { CONTROL_OK, CONTROL_UNANSWERED, type ControlCommand, controlQueueIndex, mqPairsSet } from './net-control.js';
export { buffersOf, virtioNetHeader } from './net-header.js';
export { openQueue } from './open-queue.js';
export * from './packed-layout.js';
export { PackedQueue } from './packed-queue.js';
export { buildPacket, PACKET_LENGTH, type PacketId, parsePacket } from './packet.js';
export * from './split-layout.js';
export { SplitQueue } from './split-queue.js';
export { VirtioError, type VirtioErrorCode } from './virtio-error.js';
