import type { EventFd } from '../../../src/os/index.js';
import {
  type DeviceQueue,
  openQueue,
  PACKED_FRESH_BASE,
  type RingLayout,
  SplitQueue,
} from '../../../src/virtio/index.js';
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
  layout: RingLayout = 'split';
  /** Where to go on, as SET_VRING_BASE says it, while the back-end does not have the ring. */
  base = 0;
  /** While the back-end has the ring: its kick, and the interrupt it raises. */
  kick: EventFd | undefined;
  call: EventFd | undefined;
  /** Frames that were shown to a fault: the base of the next one, how many there were, and the last of them. */
  shown: { base: number; count: number; last: Buffer | undefined } | undefined;

  constructor(readonly index: number) {}

  get isTx(): boolean {
    return this.index % 2 === 1;
  }

  /** Back to what a device reset leaves. */
  reset(): void {
    Object.assign(this, { size: 0, ready: false, desc: 0n, avail: 0n, used: 0n, shown: undefined });
    this.begin('split');
  }

  /** The guest has negotiated the layout: the ring is fresh. */
  begin(layout: RingLayout): void {
    this.layout = layout;
    this.base = layout === 'packed' ? PACKED_FRESH_BASE : 0;
  }

  /** The device's side of the ring from a base on. */
  open(ram: Ram, base = this.base, eventIdx = false): DeviceQueue {
    const { size, desc, avail, used, layout } = this;
    return openQueue(layout, { size, desc, avail, used, base, eventIdx, rings: ram, buffers: ram });
  }

  /** Asks the guest not to kick: NO_NOTIFY in a used ring's flags, DISABLE in a packed ring's device events. */
  mute(ram: Ram): void {
    ram.write(this.used + (this.layout === 'packed' ? 2n : 0n), Buffer.of(1, 0));
  }

  /** Says that so many buffers of a split ring were used so far. */
  setUsed(ram: Ram, count: number): void {
    const bytes = Buffer.alloc(2);
    bytes.writeUInt16LE(count);
    if (this.layout === 'split') ram.write(this.used + 2n, bytes);
  }

  /**
   * The back-end died and did not say where it was. A split ring's used index tells; for a packed ring there is nothing that
   * would (virtio_queue_packed_restore_last_avail_idx).
   */
  restore(ram: Ram): void {
    if (!this.ready || this.layout === 'packed') return;
    const { size, desc, avail, used, base } = this;
    this.base = new SplitQueue({ size, desc, avail, used, base, eventIdx: false, rings: ram, buffers: ram }).usedIdx();
  }
}
