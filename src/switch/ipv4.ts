import { checksum } from './checksum.js';
import type { DropReason } from './notice.js';

/** The IPv4 header (RFC 791, 3.1): offsets, and its size without options, in bytes. */
const OFFSET = { length: 2, fragment: 6, ttl: 8, protocol: 9, checksum: 10, source: 12, destination: 16 } as const;
const HEADER = 20;
const VERSION = 4;
const DONT_FRAGMENT = 0x4000;
/** More fragments, and the offset: either makes a packet a part of one. */
const IS_FRAGMENT = 0x3fff;
const TTL = 64;

/** Numbers of the protocols in it that the host speaks. */
export const PROTOCOL = { icmp: 1, udp: 17 } as const;

/** A packet without its options. */
export interface Ipv4Packet {
  source: Buffer;
  destination: Buffer;
  protocol: number;
  payload: Buffer;
}

/** Takes a packet apart, without what Ethernet padded it with; views. A fragment is refused, as the host collects none. */
export function parseIpv4Packet(bytes: Buffer): Ipv4Packet | DropReason {
  const headerLength = 4 * (bytes[0]! & 15);
  if (bytes.length < HEADER || bytes[0]! >> 4 !== VERSION) return 'malformed';
  const length = bytes.readUInt16BE(OFFSET.length);
  if (headerLength < HEADER || length < headerLength || length > bytes.length) return 'malformed';
  if (checksum(bytes.subarray(0, headerLength)) !== 0) return 'checksum';
  if (bytes.readUInt16BE(OFFSET.fragment) & IS_FRAGMENT) return 'fragment';
  return {
    source: bytes.subarray(OFFSET.source, OFFSET.destination),
    destination: bytes.subarray(OFFSET.destination, HEADER),
    protocol: bytes[OFFSET.protocol]!,
    payload: bytes.subarray(headerLength, length),
  };
}

/** Builds a packet without options that is not to be fragmented, so that its identification says nothing (RFC 6864, 4.1). */
export function buildIpv4Packet({ source, destination, protocol, payload }: Ipv4Packet): Buffer {
  const header = Buffer.alloc(HEADER);
  header[0] = (VERSION << 4) | (HEADER / 4);
  header.writeUInt16BE(HEADER + payload.length, OFFSET.length);
  header.writeUInt16BE(DONT_FRAGMENT, OFFSET.fragment);
  header[OFFSET.ttl] = TTL;
  header[OFFSET.protocol] = protocol;
  header.set(source, OFFSET.source);
  header.set(destination, OFFSET.destination);
  header.writeUInt16BE(checksum(header), OFFSET.checksum);
  return Buffer.concat([header, payload]);
}
