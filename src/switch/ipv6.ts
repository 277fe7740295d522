import type { DropReason } from './notice.js';

/** The IPv6 header (RFC 8200, 3): offsets, and its size, in bytes. */
const OFFSET = { length: 4, next: 6, hopLimit: 7, source: 8, destination: 24 } as const;
const HEADER = 40;
const VERSION = 6;
/** Extension headers that only carry options: u8 next header, u8 length in 8 bytes beyond the first 8. */
const OPTIONS = new Set([0, 60]);
const FRAGMENT = 44;

export const ICMPV6 = 58;
/** No router has touched a packet that comes with it. */
export const HOP_LIMIT_MAX = 255;

/** A packet without its extension headers. */
export interface Ipv6Packet {
  source: Buffer;
  destination: Buffer;
  hopLimit: number;
  next: number;
  payload: Buffer;
}

/** Takes a packet apart, without what Ethernet padded it with; views. A fragment is refused, as the host collects none. */
export function parseIpv6Packet(bytes: Buffer): Ipv6Packet | DropReason {
  if (bytes.length < HEADER || bytes[0]! >> 4 !== VERSION) return 'malformed';
  const length = bytes.readUInt16BE(OFFSET.length);
  if (HEADER + length > bytes.length) return 'malformed';
  let next = bytes[OFFSET.next]!;
  let payload = bytes.subarray(HEADER, HEADER + length);
  while (OPTIONS.has(next)) {
    const size = 8 * (1 + (payload[1] ?? 0));
    if (payload.length < size) return 'malformed';
    next = payload[0]!;
    payload = payload.subarray(size);
  }
  if (next === FRAGMENT) return 'fragment';
  return {
    source: bytes.subarray(OFFSET.source, OFFSET.destination),
    destination: bytes.subarray(OFFSET.destination, HEADER),
    hopLimit: bytes[OFFSET.hopLimit]!,
    next,
    payload,
  };
}

/** Builds a packet without extension headers. */
export function buildIpv6Packet({ source, destination, hopLimit, next, payload }: Ipv6Packet): Buffer {
  const header = Buffer.alloc(HEADER);
  header[0] = VERSION << 4;
  header.writeUInt16BE(payload.length, OFFSET.length);
  header[OFFSET.next] = next;
  header[OFFSET.hopLimit] = hopLimit;
  header.set(source, OFFSET.source);
  header.set(destination, OFFSET.destination);
  return Buffer.concat([header, payload]);
}

/** What an ICMPv6 checksum also goes over (RFC 8200, 8.1): addresses, u32 length, u32 next header. `length` in bytes. */
export function pseudoHeader({ source, destination }: { source: Buffer; destination: Buffer }, length: number): Buffer {
  const end = Buffer.alloc(8);
  end.writeUInt32BE(length);
  end.writeUInt32BE(ICMPV6, 4);
  return Buffer.concat([source, destination, end]);
}
