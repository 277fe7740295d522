import type { DeviceQueue, DeviceQueueOptions, RingLayout } from './device-queue.js';
import { PackedQueue } from './packed-queue.js';
import { SplitQueue } from './split-queue.js';

/** The device's side of a virtqueue of either layout. @throws VirtioError on a bad size, alignment or base */
export function openQueue(layout: RingLayout, options: DeviceQueueOptions): DeviceQueue {
  return layout === 'packed' ? new PackedQueue(options) : new SplitQueue(options);
}
