import { closeFd, EventFd, MappedRegion, memfd } from '../../src/os/index.js';
import {
  availEventOffset,
  buildPacket,
  DESC_F_INDIRECT,
  DESC_F_NEXT,
  DESC_F_WRITE,
  DESCRIPTOR_SIZE,
  decodeUsed,
  encodeDescriptors,
  encodeHeads,
  needsKick,
  type PacketId,
  parsePacket,
  RING_HEADER_SIZE,
  RING_IDX,
  splitLayout,
  USED_ELEMENT_SIZE,
  type UsedElement,
  usedEventOffset,
  virtioNetHeader,
  wrap16,
} from '../../src/virtio/index.js';
import type { Region } from '../../src/wire/index.js';

/** Bytes of each of the guest's two regions. */
export const REGION = 0x40000;
/** Where the front-end sees guest memory. */
export const USER = 0x7f12_0000_0000n;
/** Guest-physical address of the second region, behind a hole. */
export const HIGH = 0x1_0000_0000n;
const BUFFER = 256;

/** Guest memory in one memfd, announced as two regions: rings in the first, buffers in the second. */
export class Guest {
  readonly fd = memfd('guest', 2 * REGION);
  readonly memory = MappedRegion.map(this.fd, { size: 2 * REGION });
  readonly rings = new Map<number, GuestRing>();
  #next = 0;

  readonly regions: readonly Region[] = [
    { guestAddr: 0n, size: BigInt(REGION), userAddr: USER, mmapOffset: 0n },
    { guestAddr: HIGH, size: BigInt(REGION), userAddr: USER + BigInt(REGION), mmapOffset: BigInt(REGION) },
  ];

  /** The ring with this index, laid out at first use. */
  ring(index: number, options: RingOptions = {}): GuestRing {
    let ring = this.rings.get(index);
    if (!ring) {
      ring = new GuestRing(this, index, this.#next, options);
      this.#next += ring.layout.length;
      this.rings.set(index, ring);
    }
    return ring;
  }

  close(): void {
    for (const { kick, call } of this.rings.values()) {
      kick.close();
      call.close();
    }
    this.memory.unmap();
    closeFd(this.fd);
  }
}

/** What a buffer looks like in the descriptor table. */
export type Shape = 'single' | 'chain' | 'indirect';

export interface RingOptions {
  size?: number;
  /** Index at which the ring goes on. */
  base?: number;
  shape?: Shape;
  eventIdx?: boolean;
}

/** The driver's side of a ring in the guest's memory. */
export class GuestRing {
  readonly kick = EventFd.create();
  readonly call = EventFd.create();
  readonly size: number;
  readonly base: number;
  readonly layout;
  readonly #guest: Guest;
  readonly #at: number;
  readonly #options: Required<RingOptions>;
  readonly #free: number[];
  #avail: number;
  #used: number;
  #kicked: number;

  constructor(
    guest: Guest,
    readonly index: number,
    at: number,
    options: RingOptions,
  ) {
    this.#options = { size: 8, base: 0, shape: 'single', eventIdx: true, ...options };
    const { size, base, shape } = this.#options;
    this.size = size;
    this.base = base;
    this.layout = splitLayout(size);
    this.#guest = guest;
    this.#at = at;
    this.#free = Array.from({ length: shape === 'chain' ? size / 2 : size }, (_, head) => head);
    this.#avail = base;
    this.#used = base;
    this.#kicked = base;
    this.set16(this.layout.avail + RING_IDX, base);
    this.set16(this.layout.used + RING_IDX, base);
    this.set16(this.layout.avail + usedEventOffset(size), base);
  }

  get dir(): 'tx' | 'rx' {
    return this.index % 2 === 0 ? 'rx' : 'tx';
  }

  /** How many buffers can be made available at once. */
  get room(): number {
    return this.#free.length;
  }

  get addresses() {
    const user = USER + BigInt(this.#at);
    return {
      descUserAddr: user,
      availUserAddr: user + BigInt(this.layout.avail),
      usedUserAddr: user + BigInt(this.layout.used),
    };
  }

  /** Guest-physical address of the used ring. */
  get usedGuestAddr(): bigint {
    return BigInt(this.#at + this.layout.used);
  }

  /** Guest-physical address of a buffer. */
  bufferAddr(head: number): bigint {
    return HIGH + BigInt(this.#bufferAt(head) - REGION);
  }

  /** Makes packets with these numbers available (TX). */
  transmit(seqs: readonly number[], headerLength: 10 | 12 = 12): void {
    for (const seq of seqs) {
      const id: PacketId = { dir: 'tx', pair: this.index >> 1, seq };
      this.add(Buffer.concat([virtioNetHeader(headerLength), buildPacket(id)]));
    }
  }

  /** Makes empty buffers available (RX). */
  post(count: number): void {
    for (let i = 0; i < count; i++) this.add();
  }

  /** Makes one buffer available: with content for the device to read, or empty for it to write. */
  add(content?: Buffer): void {
    const head = this.#free.shift()!;
    if (content) this.#guest.memory.write(this.#bufferAt(head), content);
    this.#describe(head, content?.length ?? BUFFER, content ? 0 : DESC_F_WRITE);
    this.addHead(head);
  }

  /** Makes a head available, whatever its descriptor says. */
  addHead(head: number): void {
    this.#write(this.layout.avail + RING_HEADER_SIZE + 2 * (this.#avail % this.size), encodeHeads([head]));
    this.setAvail(this.#avail + 1);
  }

  /** Writes the available index. */
  setAvail(index: number): void {
    this.#avail = wrap16(index);
    this.set16(this.layout.avail + RING_IDX, this.#avail);
  }

  /** Writes a descriptor. */
  describe(index: number, addr: bigint, length: number, flags = 0, next = 0): void {
    this.#write(DESCRIPTOR_SIZE * index, encodeDescriptors([{ addr, length, flags, next }]));
  }

  /** Kicks when the device asked for it. @returns whether it did. */
  notify(): boolean {
    const availEvent = this.get16(this.layout.used + availEventOffset(this.size));
    const usedFlags = this.get16(this.layout.used);
    const due = needsKick(this.#options.eventIdx ? { availEvent } : { usedFlags }, this.#avail, this.#kicked);
    this.#kicked = this.#avail;
    if (due) this.kick.signal();
    return due;
  }

  /** Takes what the device handed back, and asks to be told of the next. */
  takeUsed(): UsedElement[] {
    const taken: UsedElement[] = [];
    for (const idx = this.get16(this.layout.used + RING_IDX); this.#used !== idx; this.#used = wrap16(this.#used + 1)) {
      const at = this.layout.used + RING_HEADER_SIZE + USED_ELEMENT_SIZE * (this.#used % this.size);
      taken.push(...decodeUsed(this.#guest.memory.read(this.#at + at, USED_ELEMENT_SIZE)));
    }
    this.#free.push(...taken.map(({ head }) => head));
    this.set16(this.layout.avail + usedEventOffset(this.size), this.#used);
    return taken;
  }

  /** Takes what the device handed back, with what it wrote into each buffer. */
  takeBytes(): Buffer[] {
    return this.takeUsed().map(({ head, written }) => this.#guest.memory.read(this.#bufferAt(head), written));
  }

  /** Takes what the device handed back as received packets: their numbers, undefined for a corrupt one. */
  receive(headerLength: 10 | 12 = 12): (number | undefined)[] {
    return this.takeBytes().map((bytes) => {
      const packet = bytes.subarray(0, headerLength).equals(virtioNetHeader(headerLength))
        ? parsePacket(bytes.subarray(headerLength))
        : undefined;
      return packet?.dir === 'rx' && packet.pair === this.index >> 1 ? packet.seq : undefined;
    });
  }

  get16(at: number): number {
    return this.#guest.memory.readU16(this.#at + at);
  }

  set16(at: number, value: number): void {
    this.#guest.memory.writeU16(this.#at + at, value);
  }

  /** Header and frame lie back to back; `chain` and `indirect` cut them in the middle of the header. */
  #describe(head: number, length: number, flags: number): void {
    const addr = this.bufferAddr(head);
    const cut = 7;
    const parts = (first: number) => [
      { addr, length: cut, flags: flags | DESC_F_NEXT, next: first + 1 },
      { addr: addr + BigInt(cut), length: length - cut, flags, next: 0 },
    ];
    switch (this.#options.shape) {
      case 'single':
        this.describe(head, addr, length, flags);
        break;
      case 'chain': {
        const tail = head + this.size / 2;
        this.describe(head, addr, cut, flags | DESC_F_NEXT, tail);
        this.describe(tail, addr + BigInt(cut), length - cut, flags);
        break;
      }
      case 'indirect': {
        const table = this.#bufferAt(head) + BUFFER;
        this.#guest.memory.write(table, encodeDescriptors(parts(0)));
        this.describe(head, addr + BigInt(BUFFER), 2 * DESCRIPTOR_SIZE, DESC_F_INDIRECT);
        break;
      }
    }
  }

  /** Two slots a buffer: the bytes, and an indirect table. */
  #bufferAt(head: number): number {
    return REGION + 2 * BUFFER * (this.index * this.size + head);
  }

  #write(at: number, bytes: Buffer): void {
    this.#guest.memory.write(this.#at + at, bytes);
  }
}
