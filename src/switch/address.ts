import { isIPv4, isIPv6 } from 'node:net';

/** MAC addresses of 6 bytes, IPv4 of 4, IPv6 of 16, all in network order; and their texts. */

export const BROADCAST_MAC = Buffer.alloc(6, 0xff);
export const BROADCAST_IPV4 = Buffer.alloc(4, 0xff);
export const ANY_IPV4 = Buffer.alloc(4);
export const ANY_IPV6 = Buffer.alloc(16);
/** All nodes of the link, ff02::1 (RFC 4291, 2.7.1). */
export const ALL_NODES = parseIpv6('ff02::1');

/** Whether a MAC address is a group's; broadcast is one (IEEE 802, 8.2). */
export const isGroupMac = (mac: Buffer): boolean => (mac[0]! & 1) !== 0;
/** Whether it is an address of one station, which the unspecified one and groups are not. */
export const isUnicastIpv4 = (address: Buffer): boolean => address[0]! > 0 && address[0]! < 224;
export const isMulticastIpv6 = (address: Buffer): boolean => address[0] === 0xff;

/** @example 02:56:52:73:00:01 */
export const macText = (mac: Buffer): string => mac.toString('hex').replace(/..(?!$)/g, '$&:');
export const ipv4Text = (address: Buffer): string => address.join('.');

/** The shortest form, as RFC 5952 has it: a URL's host is written so. */
export function ipv6Text(address: Buffer): string {
  const words = address.toString('hex').replace(/.{4}(?!$)/g, '$&:');
  return new URL(`http://[${words}]`).hostname.slice(1, -1);
}

/** @throws RangeError when it is none, or a group's. */
export function parseMac(text: string): Buffer {
  const mac = Buffer.from(text.replaceAll(':', ''), 'hex');
  if (!/^[\da-f]{2}(:[\da-f]{2}){5}$/i.test(text) || isGroupMac(mac))
    throw new RangeError(`"${text}": expected a station's MAC address`);
  return mac;
}

/** @throws RangeError when it is none. */
export function parseIpv4(text: string): Buffer {
  if (!isIPv4(text)) throw new RangeError(`"${text}": expected an IPv4 address`);
  return Buffer.from(text.split('.').map(Number));
}

/** @throws RangeError when it is none, or one with a zone. */
export function parseIpv6(text: string): Buffer {
  if (!isIPv6(text) || text.includes('%')) throw new RangeError(`"${text}": expected an IPv6 address`);
  const [head = [], tail = []] = new URL(`http://[${text}]`).hostname
    .slice(1, -1)
    .split('::')
    .map((half) => half.split(':').filter(Boolean));
  const words = [...head, ...Array<string>(8 - head.length - tail.length).fill('0'), ...tail];
  return Buffer.from(words.map((word) => word.padStart(4, '0')).join(''), 'hex');
}

/**
 * Splits "address/prefix" and checks the prefix, in bits.
 * @throws RangeError when there is none, or more bits than the address has
 */
export function splitPrefix(text: string, bits: number): { address: string; prefix: number } {
  const [address = '', prefix = ''] = text.split('/');
  if (!/^\d+$/.test(prefix) || Number(prefix) > bits)
    throw new RangeError(`"${text}": expected an address with its prefix, /0 to /${bits}`);
  return { address, prefix: Number(prefix) };
}

/** The link-local address that belongs to a MAC: fe80::/64 with the modified EUI-64 (RFC 4291, appendix A). */
export function linkLocal(mac: Buffer): Buffer {
  const address = Buffer.alloc(16);
  address.set([0xfe, 0x80]);
  address.set([mac[0]! ^ 2, mac[1]!, mac[2]!, 0xff, 0xfe, mac[3]!, mac[4]!, mac[5]!], 8);
  return address;
}

/** The group in which a station is asked for by its address: ff02::1:ff00:0/104 and its last 24 bits (RFC 4291, 2.7.1). */
export function solicitedNode(address: Buffer): Buffer {
  const group = parseIpv6('ff02::1:ff00:0');
  group.set(address.subarray(13), 13);
  return group;
}

/** The MAC of an IPv6 group: 33:33 and its last 32 bits (RFC 2464, 7). */
export const groupMac = (group: Buffer): Buffer => Buffer.concat([Buffer.of(0x33, 0x33), group.subarray(12)]);
