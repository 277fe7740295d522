import { closeFd, EventFd, MappedRegion, memfd, socketPair } from '../../src/os/index.js';
import {
  buildPacket,
  DESC_F_WRITE,
  DESCRIPTOR_SIZE,
  encodeDescriptors,
  encodeHeads,
  RING_HEADER_SIZE,
  RING_IDX,
  virtioNetHeader,
  wrap16,
} from '../../src/virtio/index.js';
import type { JsonObject, Region } from '../../src/wire/index.js';
import type { MessageLine } from './transcript.js';

const BUFFER = 256;
const MIB = 1 << 20;

/** A ring as the messages so far describe it; addresses are offsets in the guest's file. */
export interface RecordedRing {
  index: number;
  size: number;
  base: number;
  desc: number;
  avail: number;
  used: number;
  kick: EventFd | undefined;
}

/**
 * The guest of a recorded session: its memory lies where the recorded SET_MEM_TABLE says, its rings where the recorded
 * SET_VRING_ADDR says, so that the messages can be sent as they were, and the rings can really run.
 */
export class RecordedGuest {
  readonly fd: number;
  #regions: readonly Region[] = [];
  readonly #memory: MappedRegion;
  readonly #rings = new Map<number, RecordedRing>();
  /** Packets sent each way, per ring: their sequence numbers. */
  readonly #packets = new Map<number, number>();

  /** @param length bytes that the file of its memory must have: up to the end of the last region; it is sparse */
  constructor(length: number) {
    this.fd = memfd('recorded-guest', length);
    this.#memory = MappedRegion.map(this.fd, { size: length });
  }

  /** SET_MEM_TABLE: where the parts of the file are seen from now on. */
  announce(regions: readonly Region[]): void {
    this.#regions = regions;
  }

  ring(index: number): RecordedRing {
    let ring = this.#rings.get(index);
    if (!ring) {
      ring = { index, size: 0, base: 0, desc: 0, avail: 0, used: 0, kick: undefined };
      this.#rings.set(index, ring);
    }
    return ring;
  }

  /** SET_VRING_ADDR. @param fresh the guest's driver has just made this ring: both indices are 0 */
  place({ index, desc, avail, used }: JsonObject, fresh: boolean): void {
    const ring = this.ring(index as number);
    const offset = (address: JsonObject[string] | undefined) => this.#offset(BigInt(address as string));
    Object.assign(ring, { desc: offset(desc), avail: offset(avail), used: offset(used) });
    if (!fresh) return;
    this.#memory.writeU16(ring.avail + RING_IDX, 0);
    this.#memory.writeU16(ring.used + RING_IDX, 0);
  }

  /** The index up to which the back-end handed buffers back. */
  usedIdx(ring: RecordedRing): number {
    return this.#memory.readU16(ring.used + RING_IDX);
  }

  /**
   * Makes `count` buffers available, at most the ring's size: packets (odd rings), or room for them (even rings). All
   * buffers are back when it is called. @returns the sequence number of the first packet
   */
  offer(ring: RecordedRing, count: number): number {
    const first = this.#packets.get(ring.index) ?? 0;
    this.#packets.set(ring.index, first + count);
    const { file, guest } = this.#buffers();
    const avail = this.#memory.readU16(ring.avail + RING_IDX);
    const transmits = ring.index % 2 === 1;
    const contents = Array.from({ length: count }, (_, i) =>
      transmits
        ? Buffer.concat([virtioNetHeader(12), buildPacket({ dir: 'tx', pair: ring.index >> 1, seq: first + i })])
        : undefined,
    );
    const descriptors = contents.map((content, i) => ({
      addr: guest + BigInt(BUFFER * i),
      length: content?.length ?? BUFFER,
      flags: content ? 0 : DESC_F_WRITE,
      next: 0,
    }));
    for (const [i, content] of contents.entries()) if (content) this.#memory.write(file + BUFFER * i, content);
    this.#memory.write(ring.desc, encodeDescriptors(descriptors));
    for (let i = 0; i < count; i++)
      this.#memory.write(ring.avail + RING_HEADER_SIZE + 2 * ((avail + i) % ring.size), encodeHeads([i]));
    this.#memory.writeU16(ring.avail + RING_IDX, wrap16(avail + count));
    ring.kick?.signal();
    return first;
  }

  /** Opens what goes with a message for as long as `send` takes: sending makes copies. A ring's kick stays the guest's. */
  withFds({ name, body, fds }: MessageLine, send: (fds: number[]) => void): void {
    if (name === 'SET_MEM_TABLE') send(Array.from({ length: fds }, () => this.fd));
    else if (name === 'SET_VRING_KICK') send([this.#newKick(body.index as number).fd]);
    else if (name === 'SET_BACKEND_REQ_FD') {
      const ends = socketPair();
      send([ends[0]]);
      ends.forEach(closeFd);
    } else {
      const events = Array.from({ length: fds }, () => EventFd.create());
      send(events.map(({ fd }) => fd));
      for (const event of events) event.close();
    }
  }

  close(): void {
    for (const { kick } of this.#rings.values()) kick?.close();
    this.#memory.unmap();
    closeFd(this.fd);
  }

  #newKick(index: number): EventFd {
    const ring = this.ring(index);
    ring.kick?.close();
    ring.kick = EventFd.create();
    return ring.kick;
  }

  #offset(userAddr: bigint): number {
    const region = this.#regions.find((r) => userAddr >= r.userAddr && userAddr < r.userAddr + r.size);
    if (!region) throw new Error(`0x${userAddr.toString(16)} is in no region`);
    return Number(userAddr - region.userAddr + region.mmapOffset);
  }

  /** The first MiB that no ring touches, as an offset in the file and as the guest's address. */
  #buffers(): { file: number; guest: bigint } {
    const region = this.#regions.reduce((a, b) => (b.size > a.size ? b : a));
    const start = Number(region.mmapOffset);
    const taken = new Set<number>();
    for (const { desc, avail, used, size } of this.#rings.values())
      for (const at of [desc, avail, used]) {
        taken.add(Math.floor((at - start) / MIB));
        taken.add(Math.floor((at - start + DESCRIPTOR_SIZE * size) / MIB));
      }
    let slot = 0;
    while (taken.has(slot)) slot++;
    return { file: start + slot * MIB, guest: region.guestAddr + BigInt(slot * MIB) };
  }
}
