import type { EventFd } from '../os/index.js';
import { SplitQueue } from '../virtio/index.js';
import { bit, VIRTIO_F_VERSION_1, VIRTIO_NET_F_MRG_RXBUF, VIRTIO_RING_F_EVENT_IDX } from '../wire/index.js';
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
  base = 0;
  addresses: RingAddresses | undefined;
  enabled = false;
  kick: EventFd | undefined;
  call: EventFd | undefined;
  err: EventFd | undefined;
  queue: SplitQueue | undefined;

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

  /** Builds the queue. Spec "Ring states": a ring is started by its kick fd. @throws VirtioError on bad addresses or size. */
  start(memory: MemoryTable, features: bigint): SplitQueue {
    this.queue = new SplitQueue({
      size: this.size,
      ...this.addresses!,
      base: this.base,
      eventIdx: (features & bit(VIRTIO_RING_F_EVENT_IDX)) !== 0n,
      rings: memory.byUserAddr,
      buffers: memory.byGuestAddr,
    });
    return this.queue;
  }

  /** Stops the ring and forgets its kick. @returns the index to report: the next available one. */
  stop(): number {
    if (this.queue) this.base = this.queue.nextAvail;
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

/** Length of the virtio-net header for these features (virtio 1.2, 5.1.6.1). */
export function headerLength(features: bigint): 10 | 12 {
  return (features & (bit(VIRTIO_F_VERSION_1) | bit(VIRTIO_NET_F_MRG_RXBUF))) !== 0n ? 12 : 10;
}
