import { type Chain, type Segment, walkChain } from './chain.js';
import type { GuestMemory } from './guest-memory.js';
import {
  AVAIL_F_NO_INTERRUPT,
  availEventOffset,
  DESCRIPTOR_SIZE,
  encodeUsed,
  MAX_QUEUE_SIZE,
  needsEvent,
  RING_HEADER_SIZE,
  RING_IDX,
  ringSlices,
  USED_ELEMENT_SIZE,
  type UsedElement,
  usedEventOffset,
  wrap16,
} from './split-layout.js';
import { VirtioError } from './virtio-error.js';

/** Most bytes that one chain may hand over: the largest frame that QEMU moves (NET_BUFSIZE of include/net/net.h). */
const MAX_CHAIN_BYTES = 4096 + 65536;

/** What a device needs to know to run a split virtqueue. */
export interface SplitQueueOptions {
  /** Entries; a power of two. */
  size: number;
  /** Addresses of the three parts, in the address space of `rings`. */
  desc: bigint;
  avail: bigint;
  used: bigint;
  /** The available index to go on from. */
  base: number;
  /** VIRTIO_RING_F_EVENT_IDX was negotiated. */
  eventIdx: boolean;
  /** VIRTIO_RING_F_INDIRECT_DESC was negotiated; taken as true when absent. */
  indirect?: boolean;
  rings: GuestMemory;
  /** Memory by guest-physical address. */
  buffers: GuestMemory;
}

/**
 * The device's side of one split virtqueue (virtio 1.2, 2.7). The driver is not trusted: whatever it writes leads to a
 * chain within bounds or to a VirtioError, and an error leaves the queue where it was.
 */
export class SplitQueue {
  readonly #q: Required<SplitQueueOptions>;
  #nextAvail: number;
  /** Heads that are available and not yet popped, first one at `#popped`, with the descriptor table as of then. */
  #heads: number[] = [];
  #popped = 0;
  #table: Buffer = Buffer.alloc(0);
  /** Elements pushed and not yet published. */
  #unpublished: UsedElement[] = [];
  #usedIdx: number;
  /** The used index when needsCall() last answered; undefined = never, and what was signalled before is not known. */
  #signalled: number | undefined;

  /** Reads the used index to go on from. @throws VirtioError on a bad size or alignment, and what `rings` throws. */
  constructor(options: SplitQueueOptions) {
    this.#q = { indirect: true, ...options };
    const { size, desc, avail, used, base } = this.#q;
    if (!Number.isInteger(Math.log2(size)) || size > MAX_QUEUE_SIZE)
      throw new VirtioError('ERR_RING_SIZE', `queue size ${size}`, `a power of two up to ${MAX_QUEUE_SIZE}`);
    if (desc % 16n !== 0n || avail % 2n !== 0n || used % 4n !== 0n)
      throw new VirtioError(
        'ERR_RING_ALIGNMENT',
        `desc 0x${desc.toString(16)}, avail 0x${avail.toString(16)}, used 0x${used.toString(16)}`,
        'aligned to 16, 2 and 4 (virtio 1.2, 2.7)',
      );
    this.#nextAvail = wrap16(base);
    this.#usedIdx = this.usedIdx();
  }

  /** The driver's available index, as it stands in memory. */
  availIdx(): number {
    return this.#q.rings.read(this.#q.avail + BigInt(RING_IDX), 2).readUInt16LE();
  }

  /** The used index, as it stands in memory. */
  usedIdx(): number {
    return this.#q.rings.read(this.#q.used + BigInt(RING_IDX), 2).readUInt16LE();
  }

  /** The used ring's flags, as they stand in memory. */
  usedFlags(): number {
    return this.#q.rings.read(this.#q.used, 2).readUInt16LE();
  }

  /** The available index of the next chain to pop: what GET_VRING_BASE reports. */
  get nextAvail(): number {
    return this.#nextAvail;
  }

  /** Takes the next available chain, or undefined when there is none. @throws VirtioError */
  pop(): Chain | undefined {
    if (this.#popped === this.#heads.length && !this.#fetch()) return undefined;
    const { size, indirect, buffers } = this.#q;
    const chain = walkChain(this.#heads[this.#popped]!, { table: this.#table, size, indirect, buffers });
    this.#popped++;
    this.#nextAvail = wrap16(this.#nextAvail + 1);
    return chain;
  }

  /** Takes all chains that are available now. @throws VirtioError */
  popAll(): Chain[] {
    const chains: Chain[] = [];
    for (let chain = this.pop(); chain; chain = this.pop()) chains.push(chain);
    return chains;
  }

  /** Hands a popped chain back, `written` bytes of which the device wrote. The driver sees it after publish(). */
  push(head: number, written: number): void {
    this.#unpublished.push({ head, written });
  }

  /** Makes all pushed chains visible to the driver: the elements first, then the index. */
  publish(): void {
    const { size, used, rings } = this.#q;
    const bytes = encodeUsed(this.#unpublished);
    for (const { slot, from, count } of ringSlices(size, this.#usedIdx, this.#unpublished.length))
      rings.write(
        used + BigInt(RING_HEADER_SIZE + USED_ELEMENT_SIZE * slot),
        bytes.subarray(USED_ELEMENT_SIZE * from, USED_ELEMENT_SIZE * (from + count)),
      );
    this.#usedIdx = wrap16(this.#usedIdx + this.#unpublished.length);
    this.#unpublished = [];
    this.#write16(used + BigInt(RING_IDX), this.#usedIdx);
  }

  /**
   * Whether the driver is to be interrupted for what was published since the last call of this method. Call it after
   * publish(): a driver that re-arms used_event in between is seen because the index was written first (2.7.10).
   */
  needsCall(): boolean {
    const { size, avail, eventIdx, rings } = this.#q;
    const old = this.#signalled;
    this.#signalled = this.#usedIdx;
    if (!eventIdx) return (rings.read(avail, 2).readUInt16LE() & AVAIL_F_NO_INTERRUPT) === 0;
    const usedEvent = rings.read(avail + BigInt(usedEventOffset(size)), 2).readUInt16LE();
    return old === undefined || needsEvent(usedEvent, this.#usedIdx, old);
  }

  /**
   * Asks for a notification of the next available chain. @returns true when none is available now; on false the driver
   * may have looked before it was asked, so pop again.
   */
  enableNotify(): boolean {
    const { size, used, eventIdx } = this.#q;
    if (eventIdx) this.#write16(used + BigInt(availEventOffset(size)), this.#nextAvail);
    else this.#write16(used, 0);
    return this.availIdx() === this.#nextAvail;
  }

  /** The bytes the driver sends with a chain. @throws VirtioError when they are more than any frame. */
  readOut(chain: Chain): Buffer {
    const total = byteLength(chain.out);
    if (total > MAX_CHAIN_BYTES)
      throw new VirtioError('ERR_CHAIN_BYTES', `chain of ${total} bytes`, `at most ${MAX_CHAIN_BYTES} make a frame`);
    const segments = chain.out.filter((segment) => segment.length > 0);
    return Buffer.concat(segments.map(({ addr, length }) => this.#q.buffers.read(addr, length)));
  }

  /** Writes `bytes` into a chain. @returns their number, for push(). @throws VirtioError when the chain is too short. */
  writeIn(chain: Chain, bytes: Buffer): number {
    const room = byteLength(chain.in);
    if (room < bytes.length)
      throw new VirtioError(
        'ERR_CHAIN_BYTES',
        `chain with room for ${room} bytes, ${bytes.length} needed`,
        'a receive buffer holds a whole frame',
      );
    let at = 0;
    for (const { addr, length } of chain.in) {
      const part = bytes.subarray(at, at + length);
      if (part.length > 0) this.#q.buffers.write(addr, part);
      at += part.length;
    }
    return bytes.length;
  }

  /** Reads the heads that became available and the descriptor table in as few reads as the ring's wrap allows. */
  #fetch(): boolean {
    const { size, desc, avail, rings } = this.#q;
    const count = wrap16(this.availIdx() - this.#nextAvail);
    if (count > size)
      throw new VirtioError(
        'ERR_AVAIL_JUMP',
        `available index is ${count} ahead of ${this.#nextAvail}, the ring has ${size} entries`,
        'the driver overran its ring, or SET_VRING_BASE does not belong to this memory',
      );
    if (count === 0) return false;
    const heads: number[] = [];
    for (const slice of ringSlices(size, this.#nextAvail, count)) {
      const bytes = rings.read(avail + BigInt(RING_HEADER_SIZE + 2 * slice.slot), 2 * slice.count);
      for (let i = 0; i < slice.count; i++) heads.push(bytes.readUInt16LE(2 * i));
    }
    this.#table = rings.read(desc, DESCRIPTOR_SIZE * size);
    this.#heads = heads;
    this.#popped = 0;
    return true;
  }

  #write16(addr: bigint, value: number): void {
    const bytes = Buffer.alloc(2);
    bytes.writeUInt16LE(value);
    this.#q.rings.write(addr, bytes);
  }
}

const byteLength = (segments: readonly Segment[]) => segments.reduce((sum, { length }) => sum + length, 0);
