import { ALL_NODES, ANY_IPV6, groupMac, isMulticastIpv6 } from './address.js';
import type { Outcome } from './answer.js';
import { checksum } from './checksum.js';
import { buildIpv6Packet, HOP_LIMIT_MAX, ICMPV6, type Ipv6Packet, pseudoHeader } from './ipv6.js';

/** Types of a Neighbor Solicitation and of its answer, the Neighbor Advertisement (RFC 4861, 4.3 and 4.4). */
export const NEIGHBOR_SOLICITATION = 135;
const NEIGHBOR_ADVERTISEMENT = 136;
/** u8 type, u8 code, u16 checksum, u32 flags, target, options. */
const OFFSET = { checksum: 2, flags: 4, target: 8 } as const;
const HEADER = 24;
const SOLICITED = 0x40;
const OVERRIDE = 0x20;
/** Options: u8 type, u8 length in 8 bytes, and for these two a MAC. */
const SOURCE_MAC = 1;
const TARGET_MAC = 2;

/** Types of the options; undefined when they do not fit, or one of length 0 has no end. */
function optionTypes(options: Buffer): number[] | undefined {
  const types: number[] = [];
  for (let at = 0; at < options.length; ) {
    const size = 8 * (options[at + 1] ?? 0);
    if (size === 0 || at + size > options.length) return undefined;
    types.push(options[at]!);
    at += size;
  }
  return types;
}

/**
 * Answers a Neighbor Solicitation for one of `addresses`: `mac` has it. It must be as RFC 4861, 7.1.1 wants it. One without a
 * source is a guest that asks whether the address is free, and has none to be told at: all nodes are told (7.2.4).
 */
export function answerSolicitation(
  { source, destination, hopLimit, payload }: Ipv6Packet,
  { mac, addresses }: { mac: Buffer; addresses: readonly Buffer[] },
): Outcome {
  if (checksum(pseudoHeader({ source, destination }, payload.length), payload) !== 0) return 'checksum';
  const options = payload.length < HEADER ? undefined : optionTypes(payload.subarray(HEADER));
  if (!options || hopLimit !== HOP_LIMIT_MAX || payload[1] !== 0) return 'malformed';
  const target = payload.subarray(OFFSET.target, HEADER);
  const isProbe = source.equals(ANY_IPV6);
  if (isMulticastIpv6(target) || isMulticastIpv6(source)) return 'malformed';
  if (isProbe && (!isMulticastIpv6(destination) || options.includes(SOURCE_MAC))) return 'malformed';
  if (!addresses.some((address) => address.equals(target))) return undefined;

  const to = isProbe ? ALL_NODES : source;
  const message = Buffer.alloc(HEADER + 8);
  message[0] = NEIGHBOR_ADVERTISEMENT;
  message[OFFSET.flags] = isProbe ? OVERRIDE : SOLICITED | OVERRIDE;
  message.set(target, OFFSET.target);
  message.set([TARGET_MAC, 1, ...mac], HEADER);
  const pseudo = pseudoHeader({ source: target, destination: to }, message.length);
  message.writeUInt16BE(checksum(pseudo, message), OFFSET.checksum);
  const answer = { source: target, destination: to, hopLimit: HOP_LIMIT_MAX, next: ICMPV6, payload: message };
  return { payload: buildIpv6Packet(answer), ...(isProbe && { to: groupMac(ALL_NODES) }) };
}
