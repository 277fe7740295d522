import {
  availEventOffset,
  type Descriptor,
  type DeviceQueueOptions,
  decodeUsed,
  encodeDescriptors,
  encodeHeads,
  type GuestMemory,
  RING_HEADER_SIZE,
  RING_IDX,
  SplitQueue,
  splitLayout,
  USED_ELEMENT_SIZE,
  type UsedElement,
  usedEventOffset,
  wrap16,
} from '../../src/virtio/index.js';

/** Guest memory that is one array. */
export class ArrayMemory implements GuestMemory {
  readonly bytes: Buffer;
  reads = 0;
  constructor(length: number) {
    this.bytes = Buffer.alloc(length);
  }
  read(addr: bigint, length: number): Buffer {
    this.reads++;
    return Buffer.from(this.#slice(addr, length));
  }
  write(addr: bigint, bytes: Buffer): void {
    this.#slice(addr, bytes.length).set(bytes);
  }
  #slice(addr: bigint, length: number): Buffer {
    if (addr + BigInt(length) > BigInt(this.bytes.length)) throw new RangeError(`unmapped 0x${addr.toString(16)}`);
    return this.bytes.subarray(Number(addr), Number(addr) + length);
  }
}

/** The driver's side of a ring in an ArrayMemory, as plain as the specification's text: the reference for SplitQueue. */
export class GuestRing {
  readonly layout;
  readonly memory: ArrayMemory;
  availIdx: number;
  usedSeen: number;
  constructor(
    readonly size: number,
    start = 0,
    extra = 4096,
  ) {
    this.layout = splitLayout(size);
    this.memory = new ArrayMemory(this.layout.length + extra);
    this.availIdx = start;
    this.usedSeen = start;
    this.#set16(this.layout.avail + RING_IDX, start);
    this.#set16(this.layout.used + RING_IDX, start);
    this.armUsedEvent();
    this.#set16(this.layout.used + availEventOffset(size), start);
  }

  /** First byte behind the ring. */
  get spare(): bigint {
    return BigInt(this.layout.length);
  }

  queue(options: Partial<DeviceQueueOptions> = {}): SplitQueue {
    return new SplitQueue({
      size: this.size,
      desc: 0n,
      avail: BigInt(this.layout.avail),
      used: BigInt(this.layout.used),
      base: this.availIdx,
      eventIdx: false,
      rings: this.memory,
      buffers: this.memory,
      ...options,
    });
  }

  describe(index: number, ...descriptors: Descriptor[]): void {
    this.memory.write(BigInt(16 * index), encodeDescriptors(descriptors));
  }

  /** Makes heads available; the driver keeps its promise not to overrun only if its caller does. */
  add(...heads: number[]): void {
    for (const head of heads) {
      const slot = BigInt(this.layout.avail + RING_HEADER_SIZE + 2 * (this.availIdx % this.size));
      this.memory.write(slot, encodeHeads([head]));
      this.availIdx = wrap16(this.availIdx + 1);
    }
    this.#set16(this.layout.avail + RING_IDX, this.availIdx);
  }

  /** Takes what the device handed back. */
  takeUsed(): UsedElement[] {
    const taken: UsedElement[] = [];
    for (const idx = this.get16(this.layout.used + RING_IDX); this.usedSeen !== idx; ) {
      const at = this.layout.used + RING_HEADER_SIZE + USED_ELEMENT_SIZE * (this.usedSeen % this.size);
      taken.push(...decodeUsed(this.memory.read(BigInt(at), USED_ELEMENT_SIZE)));
      this.usedSeen = wrap16(this.usedSeen + 1);
    }
    return taken;
  }

  armUsedEvent(): void {
    this.#set16(this.layout.avail + usedEventOffset(this.size), this.usedSeen);
  }

  set availFlags(flags: number) {
    this.#set16(this.layout.avail, flags);
  }

  get availEvent(): number {
    return this.get16(this.layout.used + availEventOffset(this.size));
  }

  get16(at: number): number {
    return this.memory.bytes.readUInt16LE(at);
  }

  #set16(at: number, value: number): void {
    this.memory.bytes.writeUInt16LE(value, at);
  }
}
