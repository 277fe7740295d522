export type { Chain, Segment } from './chain.js';
export type { GuestMemory } from './guest-memory.js';
export { NET_CONFIG_SIZE, type NetConfig, parseNetConfig } from './net-config.js';
export { CONTROL_OK, CONTROL_UNANSWERED, type ControlCommand, controlQueueIndex, mqPairsSet } from './net-control.js';
export { virtioNetHeader } from './net-header.js';
export { buildPacket, PACKET_LENGTH, type PacketId, parsePacket } from './packet.js';
export * from './split-layout.js';
export { SplitQueue, type SplitQueueOptions } from './split-queue.js';
export { VirtioError, type VirtioErrorCode } from './virtio-error.js';
