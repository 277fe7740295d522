/**
 * The packed virtqueue's memory layout, little-endian (virtio 1.2, 2.8): one descriptor ring that driver and device write in
 * turn, and an event suppression structure of each. Which of a slot's lives a descriptor belongs to is told by a wrap
 * counter of one bit that changes with every time round.
 *
 * A place in the ring, wrap counter included, is counted here as a number below twice the size: the first time round is
 * 0 to size - 1 (wrap counter 1, as 2.8.1 has it at the start), the second size to 2 * size - 1 (wrap counter 0).
 */

import { DESCRIPTOR_SIZE } from './split-layout.js';

/** Descriptor flags beside DESC_F_NEXT, DESC_F_WRITE and DESC_F_INDIRECT (virtio 1.2, 2.8.1). */
export const PACKED_DESC_F_AVAIL = 1 << 7;
export const PACKED_DESC_F_USED = 1 << 15;
/** Offset of the flags in a descriptor: le64 addr, le32 len, le16 id, le16 flags. */
export const PACKED_FLAGS = 14;
/** Offset of what a device writes of a descriptor: len, id, flags. */
export const PACKED_LENGTH = 8;

/** Bytes of an event suppression structure (2.8.10): le16 offset and wrap counter, le16 flags. */
export const EVENT_SIZE = 4;
/** Offset of its flags. */
export const EVENT_FLAGS = 2;
/** Flags of event suppression; DESC needs VIRTIO_RING_F_EVENT_IDX. */
export const RING_EVENT_FLAGS_ENABLE = 0;
export const RING_EVENT_FLAGS_DISABLE = 1;
export const RING_EVENT_FLAGS_DESC = 2;

/** The wrap counter above a 15-bit index, in an event suppression structure and in both halves of a base. */
const WRAP = 1 << 15;

/** Byte offsets of the three parts when they are laid out one after the other, and the length of the whole. */
export interface PackedLayout {
  desc: number;
  /** The driver's event suppression, in the place of a split ring's available ring. */
  avail: number;
  /** The device's event suppression, in the place of a split ring's used ring. */
  used: number;
  length: number;
}

/** Lays a ring of `size` entries out in one block that starts 16-aligned; `length` is a multiple of 16. */
export function packedLayout(size: number): PackedLayout {
  const avail = DESCRIPTOR_SIZE * size;
  return { desc: 0, avail, used: avail + EVENT_SIZE, length: avail + DESCRIPTOR_SIZE };
}

/** One descriptor. `addr` is guest-physical; `id` is the buffer's, and counts in the last descriptor of a chain. */
export interface PackedDescriptor {
  addr: bigint;
  length: number;
  id: number;
  flags: number;
}

/** Encodes descriptors back to back. */
export function encodePacked(descriptors: readonly PackedDescriptor[]): Buffer {
  const bytes = Buffer.alloc(DESCRIPTOR_SIZE * descriptors.length);
  for (const [i, { addr, length, id, flags }] of descriptors.entries()) {
    const at = DESCRIPTOR_SIZE * i;
    bytes.writeBigUInt64LE(addr, at);
    bytes.writeUInt32LE(length, at + PACKED_LENGTH);
    bytes.writeUInt16LE(id, at + 12);
    bytes.writeUInt16LE(flags, at + PACKED_FLAGS);
  }
  return bytes;
}

/** Decodes the descriptor in slot `index`. */
export function decodePacked(ring: Buffer, index: number): PackedDescriptor {
  const at = DESCRIPTOR_SIZE * index;
  return {
    addr: ring.readBigUInt64LE(at),
    length: ring.readUInt32LE(at + PACKED_LENGTH),
    id: ring.readUInt16LE(at + 12),
    flags: packedFlags(ring, index),
  };
}

/** The flags of the descriptor in slot `index`. */
export const packedFlags = (ring: Buffer, index: number): number =>
  ring.readUInt16LE(DESCRIPTOR_SIZE * index + PACKED_FLAGS);

/** Encodes an event suppression structure. `place` counts with RING_EVENT_FLAGS_DESC only. */
export function encodeEvent(flags: number, place: number, size: number): Buffer {
  const bytes = Buffer.alloc(EVENT_SIZE);
  bytes.writeUInt16LE(toHalf(place, size));
  bytes.writeUInt16LE(flags, EVENT_FLAGS);
  return bytes;
}

/** The place that is `count` slots further. */
export const advance = (place: number, count: number, size: number): number => (place + count) % (2 * size);

const isFirstRound = (place: number, size: number): boolean => place < size;

/** The bits of AVAIL and USED by which a driver makes a descriptor available at a place. */
export const availableBits = (place: number, size: number): number =>
  isFirstRound(place, size) ? PACKED_DESC_F_AVAIL : PACKED_DESC_F_USED;

/** The bits by which a device marks a descriptor used at a place. */
export const usedBits = (place: number, size: number): number =>
  isFirstRound(place, size) ? PACKED_DESC_F_AVAIL | PACKED_DESC_F_USED : 0;

const STATE = PACKED_DESC_F_AVAIL | PACKED_DESC_F_USED;

/** Whether flags found at a place say available (2.8.1). */
export const isAvailable = (flags: number, place: number, size: number): boolean =>
  (flags & STATE) === availableBits(place, size);

/** Whether flags found at a place say used. */
export const isUsed = (flags: number, place: number, size: number): boolean =>
  (flags & STATE) === usedBits(place, size);

/** A place as 16 bits: index in bits 0-14, wrap counter in bit 15. */
export const toHalf = (place: number, size: number): number => (place % size) | (isFirstRound(place, size) ? WRAP : 0);

/** The place that 16 bits name; undefined when the index is beyond the ring. */
export function fromHalf(half: number, size: number): number | undefined {
  const index = half & (WRAP - 1);
  if (index >= size) return undefined;
  return (half & WRAP) !== 0 ? index : index + size;
}

/** A base as GET_VRING_BASE and SET_VRING_BASE carry it: the next available place, above it the next used one. */
export const packedBase = (avail: number, used: number, size: number): number =>
  toHalf(avail, size) + toHalf(used, size) * 0x1_0000;

/** A base for people: as it is sent, and its available half. */
export const packedBaseText = (base: number): string =>
  `0x${base.toString(16).padStart(8, '0')} (index ${base & (WRAP - 1)}, wrap counter ${(base & WRAP) !== 0 ? 1 : 0})`;

/** The base of a ring that was never used: index 0, wrap counter 1, twice. */
export const PACKED_FRESH_BASE = 0x8000_8000;

/** Whether what went from place `old` to place `next` passed the place `event` (2.8.10). */
export function passes(event: number, next: number, old: number, size: number): boolean {
  const distance = (to: number) => (to - old + 2 * size) % (2 * size);
  return distance(event) < distance(next);
}

/**
 * Whether the other side's event suppression wants to be told of what went from `old` to `next`. What is not defined, DESC
 * without EVENT_IDX included, counts as ENABLE.
 */
export function wantsEvent(
  structure: Buffer,
  { next, old, size, eventIdx }: { next: number; old: number; size: number; eventIdx: boolean },
): boolean {
  const flags = structure.readUInt16LE(EVENT_FLAGS) & 3;
  if (flags === RING_EVENT_FLAGS_DISABLE) return false;
  if (flags !== RING_EVENT_FLAGS_DESC || !eventIdx) return true;
  const event = fromHalf(structure.readUInt16LE(), size);
  return event === undefined || passes(event, next, old, size);
}
