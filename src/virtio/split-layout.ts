/**
 * The split virtqueue's memory layout, little-endian (virtio 1.2, 2.7): descriptor table, available ring (driver to
 * device), used ring (device to driver). Offsets below are in bytes from the start of each part.
 */

/** Bytes of one descriptor: le64 addr, le32 len, le16 flags, le16 next. */
export const DESCRIPTOR_SIZE = 16;
/** Bytes of one entry of the used ring: le32 id, le32 len. */
export const USED_ELEMENT_SIZE = 8;
/** Both rings start with le16 flags and le16 idx. */
export const RING_HEADER_SIZE = 4;
/** Offset of idx in both rings. */
export const RING_IDX = 2;
/** Largest queue size (virtio 1.2, 2.7). */
export const MAX_QUEUE_SIZE = 32768;

/** Descriptor flags (virtio 1.2, 2.7.5). */
export const DESC_F_NEXT = 1;
export const DESC_F_WRITE = 2;
export const DESC_F_INDIRECT = 4;
/** Available ring's flags: the driver wants no interrupts; void with EVENT_IDX. */
export const AVAIL_F_NO_INTERRUPT = 1;
/** Used ring's flags: the device wants no notifications; void with EVENT_IDX. */
export const USED_F_NO_NOTIFY = 1;

/** Offset of used_event, which follows the available ring's entries. */
export const usedEventOffset = (size: number): number => RING_HEADER_SIZE + 2 * size;
/** Offset of avail_event, which follows the used ring's entries. */
export const availEventOffset = (size: number): number => RING_HEADER_SIZE + USED_ELEMENT_SIZE * size;

/** Byte offsets of the three parts when they are laid out one after the other, and the length of the whole. */
export interface SplitLayout {
  desc: number;
  avail: number;
  used: number;
  length: number;
}

/** Lays a ring of `size` entries out in one block that starts 16-aligned; `length` is a multiple of 16. */
export function splitLayout(size: number): SplitLayout {
  const align = (offset: number, to: number) => Math.ceil(offset / to) * to;
  const avail = DESCRIPTOR_SIZE * size;
  const used = align(avail + usedEventOffset(size) + 2, 4);
  return { desc: 0, avail, used, length: align(used + availEventOffset(size) + 2, 16) };
}

/** One descriptor. `addr` is guest-physical; `next` counts only with DESC_F_NEXT. */
export interface Descriptor {
  addr: bigint;
  length: number;
  flags: number;
  next: number;
}

/** Encodes descriptors back to back. */
export function encodeDescriptors(descriptors: readonly Descriptor[]): Buffer {
  const bytes = Buffer.alloc(DESCRIPTOR_SIZE * descriptors.length);
  for (const [i, { addr, length, flags, next }] of descriptors.entries()) {
    const at = DESCRIPTOR_SIZE * i;
    bytes.writeBigUInt64LE(addr, at);
    bytes.writeUInt32LE(length, at + 8);
    bytes.writeUInt16LE(flags, at + 12);
    bytes.writeUInt16LE(next, at + 14);
  }
  return bytes;
}

/** Decodes descriptor number `index` of a table. */
export function decodeDescriptor(table: Buffer, index: number): Descriptor {
  const at = DESCRIPTOR_SIZE * index;
  return {
    addr: table.readBigUInt64LE(at),
    length: table.readUInt32LE(at + 8),
    flags: table.readUInt16LE(at + 12),
    next: table.readUInt16LE(at + 14),
  };
}

/** Encodes entries of the available ring. */
export function encodeHeads(heads: readonly number[]): Buffer {
  const bytes = Buffer.alloc(2 * heads.length);
  for (const [i, head] of heads.entries()) bytes.writeUInt16LE(head, 2 * i);
  return bytes;
}

/** An entry of the used ring: the head of a chain, and how many bytes the device wrote into it. */
export interface UsedElement {
  head: number;
  written: number;
}

/** Encodes entries of the used ring. */
export function encodeUsed(elements: readonly UsedElement[]): Buffer {
  const bytes = Buffer.alloc(USED_ELEMENT_SIZE * elements.length);
  for (const [i, { head, written }] of elements.entries()) {
    bytes.writeUInt32LE(head, USED_ELEMENT_SIZE * i);
    bytes.writeUInt32LE(written, USED_ELEMENT_SIZE * i + 4);
  }
  return bytes;
}

/** Decodes entries of the used ring. */
export function decodeUsed(bytes: Buffer): UsedElement[] {
  const elements: UsedElement[] = [];
  for (let at = 0; at + USED_ELEMENT_SIZE <= bytes.length; at += USED_ELEMENT_SIZE)
    elements.push({ head: bytes.readUInt32LE(at), written: bytes.readUInt32LE(at + 4) });
  return elements;
}

/** A run of ring entries without a wrap: `slot` is the first entry, `from` the offset into the caller's list. */
export interface RingSlice {
  slot: number;
  from: number;
  count: number;
}

/** Splits `count` entries that start at free-running index `idx` where the ring wraps: one or two slices, none for 0. */
export function ringSlices(size: number, idx: number, count: number): RingSlice[] {
  if (count === 0) return [];
  const slot = idx % size;
  const first = Math.min(count, size - slot);
  const slices = [{ slot, from: 0, count: first }];
  if (first < count) slices.push({ slot: 0, from: first, count: count - first });
  return slices;
}

/** Free-running ring indices are 16 bits wide. */
export const wrap16 = (value: number): number => value & 0xffff;

/**
 * Whether the other side asked to be told when the index passes `event`, and it did between `old` and `next`
 * (vring_need_event, virtio 1.2, 2.7.10.1).
 */
export function needsEvent(event: number, next: number, old: number): boolean {
  return wrap16(next - event - 1) < wrap16(next - old);
}

/** Whether the driver must notify the device of `old` to `next`, as avail_event or the used ring's flags say. */
export function needsKick(device: { availEvent: number } | { usedFlags: number }, next: number, old: number): boolean {
  if (next === old) return false;
  return 'availEvent' in device
    ? needsEvent(device.availEvent, next, old)
    : (device.usedFlags & USED_F_NO_NOTIFY) === 0;
}
