import type { EventFd } from '../../../src/os/index.js';
import { SplitQueue } from '../../../src/virtio/index.js';
import type { Ram } from './ram.js';

/** What virtio-mmio offers at most for every queue that exists (QEMU's VIRTQUEUE_MAX_SIZE). */
export const MAX_QUEUE_SIZE = 1024;

/** One virtqueue of the device, as the guest set it up, and its end of the data path while QEMU has it. */
export class Virtqueue {
  size = 0;
  ready = false;
  desc = 0n;
  avail = 0n;
  used = 0n;
  /** The next available index, while the back-end does not have the ring. */
  lastAvail = 0;
  /** While the back-end has the ring: its kick, and the interrupt it raises. */
  kick: EventFd | undefined;
  call: EventFd | undefined;

  constructor(readonly index: number) {}

  get isTx(): boolean {
    return this.index % 2 === 1;
  }

  /** Back to what a device reset leaves. */
  reset(): void {
    Object.assign(this, { size: 0, ready: false, desc: 0n, avail: 0n, used: 0n, lastAvail: 0 });
  }

  /** The device's side of the ring from an available index on. */
  open(ram: Ram, base = this.lastAvail): SplitQueue {
    const { size, desc, avail, used } = this;
    return new SplitQueue({ size, desc, avail, used, base, eventIdx: false, rings: ram, buffers: ram });
  }

  /** The used index in guest memory, or 0 when the guest did not set the ring up. */
  usedIdx(ram: Ram): number {
    return this.ready ? this.open(ram).usedIdx() : 0;
  }
}
