import { completeChecksum } from '../../src/switch/index.js';
import { bytes } from './lab.js';

/** What a guest of MAC 52:54:00:00:00:0a asks the host of default addresses, and the answers; made with another program. */

export const GUEST = '52 54 00 00 00 0a';
export const HOST = '02 56 52 73 00 01';
const GUEST_LINK_LOCAL = 'fe80 0000 0000 0000 5054 00ff fe00 000a';
const HOST_LINK_LOCAL = 'fe80 0000 0000 0000 0056 52ff fe73 0001';
const HOST_GLOBAL = 'fd73 0000 0000 0000 0000 0000 0000 0001';
const GUEST_IPV4 = '0a49 0064';
const HOST_IPV4 = '0a49 0001';
const DATA = Buffer.from('reconnect').toString('hex');

export const arp = {
  ask: bytes(
    'ff ff ff ff ff ff', // destination
    GUEST,
    '0806', // ARP
    '0001 0800 06 04', // Ethernet, IPv4
    '0001', // request
    GUEST + GUEST_IPV4,
    `00 00 00 00 00 00 ${HOST_IPV4}`,
  ),
  answer: bytes(
    GUEST,
    HOST,
    '0806',
    '0001 0800 06 04',
    '0002', // reply
    HOST + HOST_IPV4,
    GUEST + GUEST_IPV4,
  ),
};

export const echo4 = {
  ask: bytes(
    HOST,
    GUEST,
    '0800', // IPv4
    '45 00 0025', // version and header length, service, total length
    '1234 0000', // identification, fragment
    '40 01 53ae', // time to live, ICMP, checksum
    GUEST_IPV4 + HOST_IPV4,
    '08 00 1b62', // echo request, checksum
    'beef 0007', // id, sequence number
    DATA,
  ),
  answer: bytes(
    GUEST,
    HOST,
    '0800',
    '45 00 0025',
    '0000 4000', // not to be fragmented
    '40 01 25e2',
    HOST_IPV4 + GUEST_IPV4,
    '00 00 2362', // echo reply, checksum
    'beef 0007',
    DATA,
  ),
};

/** The same with an option of the IPv4 header, which the answer has not. */
export const echo4Options = {
  ask: bytes(
    HOST,
    GUEST,
    '0800',
    '47 00 002d',
    '1234 0000',
    '40 01 469f',
    GUEST_IPV4 + HOST_IPV4,
    '07 07 04 00000000', // record route, room for one
    '00', // end
    '08 00 1b62',
    'beef 0007',
    DATA,
  ),
  answer: echo4.answer,
};

export const echo6 = {
  ask: bytes(
    HOST,
    GUEST,
    '86dd', // IPv6
    '60000000 0011 3a 40', // version, payload length, ICMPv6, hop limit
    GUEST_LINK_LOCAL,
    HOST_LINK_LOCAL,
    '80 00 04ec', // echo request, checksum
    'beef 0007', // id, sequence number
    DATA,
  ),
  answer: bytes(
    GUEST,
    HOST,
    '86dd',
    '60000000 0011 3a 40',
    HOST_LINK_LOCAL,
    GUEST_LINK_LOCAL,
    '81 00 03ec', // echo reply, checksum
    'beef 0007',
    DATA,
  ),
};

export const solicitation = {
  ask: bytes(
    '33 33 ff 00 00 01', // the group of the target
    GUEST,
    '86dd',
    '60000000 0020 3a ff', // hop limit 255
    GUEST_LINK_LOCAL,
    'ff02 0000 0000 0000 0000 0001 ff00 0001',
    '87 00 dbeb 00000000', // Neighbor Solicitation, checksum
    HOST_GLOBAL,
    `01 01 ${GUEST}`, // source link-layer address
  ),
  answer: bytes(
    GUEST,
    HOST,
    '86dd',
    '60000000 0020 3a ff',
    HOST_GLOBAL,
    GUEST_LINK_LOCAL,
    '88 00 7810 60000000', // Neighbor Advertisement, checksum, solicited and override
    HOST_GLOBAL,
    `02 01 ${HOST}`, // target link-layer address
  ),
};

/** A guest that asks whether nobody has the address that it wants (RFC 4862, 5.4.2). */
export const duplicate = {
  ask: bytes(
    '33 33 ff 73 00 01',
    GUEST,
    '86dd',
    '60000000 0018 3a ff',
    '0000 0000 0000 0000 0000 0000 0000 0000', // it has none yet
    'ff02 0000 0000 0000 0000 0001 ff73 0001',
    '87 00 29e9 00000000',
    HOST_LINK_LOCAL,
  ),
  answer: bytes(
    '33 33 00 00 00 01', // all nodes
    HOST,
    '86dd',
    '60000000 0020 3a ff',
    HOST_LINK_LOCAL,
    'ff02 0000 0000 0000 0000 0000 0000 0001',
    '88 00 613f 20000000', // override only
    HOST_LINK_LOCAL,
    `02 01 ${HOST}`,
  ),
};

const ALL = 'ff ff ff ff ff ff';
const zeros = (count: number) => '00'.repeat(count);

/** A DHCP client's message: a frame of its own MAC, to all by default. Fields and options as hex. */
export function dhcp(
  options: string,
  { mac = GUEST, flags = '0000', ciaddr = '0000 0000', giaddr = '0000 0000', to = ALL, ip = 'ffff ffff' } = {},
): Buffer {
  const bootp = bytes(
    '01 01 06 00', // request, Ethernet, address length, hops
    '3903f326', // transaction
    `0000 ${flags}`, // seconds, flags
    ciaddr,
    '0000 0000 0000 0000', // your address, next server
    giaddr,
    mac + zeros(10),
    zeros(64 + 128), // server name, file
    '63825363', // DHCP
    `${options} ff`,
  );
  const udp = 8 + bootp.length;
  const hex = (value: number) => value.toString(16).padStart(4, '0');
  const frame = bytes(
    to,
    mac,
    '0800',
    `45 00 ${hex(20 + udp)} 0000 0000 40 11 0000`,
    ciaddr,
    ip,
    `0044 0043 ${hex(udp)} 0000`, // no checksum
    bootp.toString('hex'),
  );
  completeChecksum(frame.subarray(0, 34), 14, 10);
  return frame;
}
