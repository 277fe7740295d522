import type { Chain, Segment } from './chain.js';
import type { GuestMemory } from './guest-memory.js';
import { MAX_QUEUE_SIZE } from './split-layout.js';
import { VirtioError } from './virtio-error.js';

/** Most bytes that one chain may hand over: the largest frame that QEMU moves (NET_BUFSIZE of include/net/net.h). */
const MAX_CHAIN_BYTES = 4096 + 65536;

/** The two ways in which a virtqueue lies in memory (virtio 1.2, 2.7 and 2.8). */
export const ringLayouts = ['split', 'packed'] as const;
export type RingLayout = (typeof ringLayouts)[number];

/** What a device needs to know to run a virtqueue. */
export interface DeviceQueueOptions {
  /** Entries; a power of two. */
  size: number;
  /**
   * Addresses of the three parts, in the address space of `rings`: of a split ring the descriptor table, available and used
   * ring; of a packed one the descriptor ring, and the event suppression of driver and device.
   */
  desc: bigint;
  avail: bigint;
  used: bigint;
  /** Where to go on, as SET_VRING_BASE tells it: see `base` of the queue. */
  base: number;
  /** VIRTIO_RING_F_EVENT_IDX was negotiated. */
  eventIdx: boolean;
  /** VIRTIO_RING_F_INDIRECT_DESC was negotiated; taken as true when absent. */
  indirect?: boolean;
  rings: GuestMemory;
  /** Memory by guest-physical address. */
  buffers: GuestMemory;
}

/** What guest memory says of a ring at one moment; each layout has fields of its own. */
export type RingState =
  | {
      /** Indices of the driver and of the device. */
      availIdx: number;
      usedIdx: number;
      /** Flags of the used ring: bit 0 = VRING_USED_F_NO_NOTIFY. */
      usedFlags: number;
    }
  | {
      /** Whether the descriptor that the queue looks at next is available. */
      available: boolean;
      /** Flags of the device's event suppression: RING_EVENT_FLAGS_*. */
      eventFlags: number;
    };

/**
 * The device's side of one virtqueue, whatever its layout. The driver is not trusted: whatever it writes leads to a chain
 * within bounds or to a VirtioError, and an error leaves the queue where it was.
 */
export abstract class DeviceQueue {
  abstract readonly layout: RingLayout;
  protected readonly q: Required<DeviceQueueOptions>;

  /** @throws VirtioError on a bad size */
  constructor(options: DeviceQueueOptions) {
    this.q = { indirect: true, ...options };
    const { size } = this.q;
    if (!Number.isInteger(Math.log2(size)) || size > MAX_QUEUE_SIZE)
      throw new VirtioError('ERR_RING_SIZE', `queue size ${size}`, `a power of two up to ${MAX_QUEUE_SIZE}`);
  }

  /**
   * Where the next chain to pop is, as GET_VRING_BASE tells it. Split: the available index. Packed: bits 0-14 index of the
   * next available descriptor, 15 its wrap counter, 16-30 index of the next used descriptor, 31 its wrap counter.
   */
  abstract get base(): number;

  /** What guest memory says now. @throws what `rings` throws */
  abstract state(): RingState;

  /** Takes the next available chain, or undefined when there is none. @throws VirtioError */
  abstract pop(): Chain | undefined;

  /** Goes back to where `base` was: what was popped since, and not pushed, is available again. */
  abstract rewind(base: number): void;

  /** Hands a popped chain back, `written` bytes of which the device wrote. The driver sees it after publish(). */
  abstract push(chain: Chain, written: number): void;

  /** Makes all pushed chains visible to the driver. */
  abstract publish(): void;

  /**
   * Whether the driver is to be interrupted for what was published since the last call of this method. Call it after
   * publish(): a driver that asks anew in between is seen because what was used was written first.
   */
  abstract needsCall(): boolean;

  /**
   * Asks for a notification of the next available chain. @returns true when none is available now; on false the driver
   * may have looked before it was asked, so pop again.
   */
  abstract enableNotify(): boolean;

  /** Takes all chains that are available now. @throws VirtioError */
  popAll(): Chain[] {
    const chains: Chain[] = [];
    for (let chain = this.pop(); chain; chain = this.pop()) chains.push(chain);
    return chains;
  }

  /** The bytes the driver sends with a chain. @throws VirtioError when they are more than any frame. */
  readOut(chain: Chain): Buffer {
    const total = byteLength(chain.out);
    if (total > MAX_CHAIN_BYTES)
      throw new VirtioError('ERR_CHAIN_BYTES', `chain of ${total} bytes`, `at most ${MAX_CHAIN_BYTES} make a frame`);
    const segments = chain.out.filter((segment) => segment.length > 0);
    return Buffer.concat(segments.map(({ addr, length }) => this.q.buffers.read(addr, length)));
  }

  /** Writes `bytes` into a chain. @returns their number, for push(). @throws VirtioError when the chain is too short. */
  writeIn(chain: Chain, bytes: Buffer): number {
    const room = roomOf(chain);
    if (room < bytes.length)
      throw new VirtioError(
        'ERR_CHAIN_BYTES',
        `chain with room for ${room} bytes, ${bytes.length} needed`,
        'a receive buffer holds a whole frame',
      );
    let at = 0;
    for (const { addr, length } of chain.in) {
      const part = bytes.subarray(at, at + length);
      if (part.length > 0) this.q.buffers.write(addr, part);
      at += part.length;
    }
    return bytes.length;
  }

  protected write16(addr: bigint, value: number): void {
    const bytes = Buffer.alloc(2);
    bytes.writeUInt16LE(value);
    this.q.rings.write(addr, bytes);
  }
}

const byteLength = (segments: readonly Segment[]) => segments.reduce((sum, { length }) => sum + length, 0);

/** How many bytes the device may write into a chain. */
export const roomOf = (chain: Chain): number => byteLength(chain.in);
