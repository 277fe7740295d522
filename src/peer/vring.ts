import type { EventFd } from '../os/index.js';
import { type DeviceQueue, openQueue } from '../virtio/index.js';
import {
  bit,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_VERSION_1,
  VIRTIO_NET_F_MRG_RXBUF,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
} from '../wire/index.js';
import type { MemoryTable } from './memory-table.js';

/** Ring addresses as SET_VRING_ADDR gives them: the front-end's virtual addresses. */
export interface RingAddresses {
  desc: bigint;
  avail: bigint;
  used: bigint;
}

/** One virtqueue of a session: what the front-end set, and the queue that runs once all of it is there. */
export class Vring {
  size = 0;
  /** Where it goes on, as SET_VRING_BASE says; see DeviceQueue. */
  base = 0;
  addresses: RingAddresses | undefined;
  enabled = false;
  kick: EventFd | undefined;
  call: EventFd | undefined;
  err: EventFd | undefined;
  queue: DeviceQueue | undefined;

  constructor(readonly index: number) {}

  /** Even rings receive (peer to guest), odd rings transmit. */
  get dir(): 'rx' | 'tx' {
    return this.index % 2 === 0 ? 'rx' : 'tx';
  }

  get pair(): number {
    return this.index >> 1;
  }

  /** Started and enabled: packets may move. */
  get running(): boolean {
    return this.queue !== undefined && this.enabled;
  }

  /** The layout as ring events tell it: nothing for split. */
  get told(): { layout?: 'packed' } {
    return this.queue?.layout === 'packed' ? { layout: 'packed' } : {};
  }

  /** Builds the queue. Spec "Ring states": a ring is started by its kick fd. @throws VirtioError on bad addresses, size or base. */
  start(memory: MemoryTable, features: bigint): DeviceQueue {
    this.queue = openQueue(has(features, VIRTIO_F_RING_PACKED) ? 'packed' : 'split', {
      size: this.size,
      ...this.addresses!,
      base: this.base,
      eventIdx: has(features, VIRTIO_RING_F_EVENT_IDX),
      indirect: has(features, VIRTIO_RING_F_INDIRECT_DESC),
      rings: memory.byUserAddr,
      buffers: memory.byGuestAddr,
    });
    return this.queue;
  }

  /** Stops the ring and forgets its kick. @returns its base: where it would go on. */
  stop(): number {
    if (this.queue) this.base = this.queue.base;
    this.queue = undefined;
    this.kick?.close();
    this.kick = undefined;
    return this.base;
  }

  /** Closes every fd. */
  close(): void {
    this.stop();
    this.call?.close();
    this.err?.close();
  }
}

/** Whether a feature bit is set. */
export const has = (features: bigint, number: number): boolean => (features & bit(number)) !== 0n;

/** Length of the virtio-net header for these features (virtio 1.2, 5.1.6.1). */
export function headerLength(features: bigint): 10 | 12 {
  return has(features, VIRTIO_F_VERSION_1) || has(features, VIRTIO_NET_F_MRG_RXBUF) ? 12 : 10;
}
