/** One's complement sum of 16-bit big-endian words, carries not yet added (RFC 1071); an odd last byte counts as a high one. */
function sum(bytes: Buffer): number {
  let total = 0;
  const even = bytes.length & ~1;
  for (let i = 0; i < even; i += 2) total += (bytes[i]! << 8) | bytes[i + 1]!;
  return even < bytes.length ? total + (bytes[even]! << 8) : total;
}

function fold(total: number): number {
  while (total > 0xffff) total = (total & 0xffff) + Math.floor(total / 0x10000);
  return total;
}

/**
 * The Internet checksum over parts, 16 bits. All but the last have an even length. Over bytes that hold their right checksum
 * it is 0.
 */
export const checksum = (...parts: Buffer[]): number =>
  ~fold(parts.reduce((total, part) => total + sum(part), 0)) & 0xffff;

/** What a checksum of zero is sent as, by UDP because zero says that there is none (RFC 768). Both are zero in the sum. */
const SENT_ZERO = 0xffff;

/** A checksum as it is sent where zero would say that there is none. */
export const sentChecksum = (value: number): number => value || SENT_ZERO;

/**
 * Fills in the checksum that a guest left to the device with VIRTIO_NET_HDR_F_NEEDS_CSUM (virtio 1.2, 5.1.6.2.1): over the
 * frame from `start`, csum_start, to its end; put at `start` + `offset`, csum_offset, where the guest has left the sum of the
 * pseudo header. Both in bytes.
 *
 * @returns false, and the frame as it was, where that lies outside of it
 */
export function completeChecksum(frame: Buffer, start: number, offset: number): boolean {
  const at = start + offset;
  if (![start, offset].every((n) => Number.isInteger(n) && n >= 0) || at + 2 > frame.length) return false;
  frame.writeUInt16BE(sentChecksum(checksum(frame.subarray(start))), at);
  return true;
}
