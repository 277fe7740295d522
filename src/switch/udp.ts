import { checksum, sentChecksum } from './checksum.js';
import { type Ipv4Packet, PROTOCOL } from './ipv4.js';
import type { DropReason } from './notice.js';

/** The UDP header (RFC 768): u16 source port, destination port, length, checksum. */
const OFFSET = { source: 0, destination: 2, length: 4, checksum: 6 } as const;
const HEADER = 8;

/** Ports, and what is between. */
export interface Datagram {
  from: number;
  to: number;
  data: Buffer;
}

type Addresses = Pick<Ipv4Packet, 'source' | 'destination'>;

/** What the checksum also goes over: addresses, u16 protocol, u16 length in bytes. */
function pseudoHeader({ source, destination }: Addresses, length: number): Buffer {
  const end = Buffer.alloc(4);
  end.writeUInt16BE(PROTOCOL.udp);
  end.writeUInt16BE(length, 2);
  return Buffer.concat([source, destination, end]);
}

/** Takes the payload of an IPv4 packet apart; `data` is a view. Without a checksum it is as good as with a right one. */
export function parseDatagram({ payload, ...addresses }: Ipv4Packet): Datagram | DropReason {
  if (payload.length < HEADER) return 'malformed';
  const length = payload.readUInt16BE(OFFSET.length);
  if (length < HEADER || length > payload.length) return 'malformed';
  const datagram = payload.subarray(0, length);
  const isSummed = datagram.readUInt16BE(OFFSET.checksum) !== 0;
  if (isSummed && checksum(pseudoHeader(addresses, length), datagram) !== 0) return 'checksum';
  return {
    from: datagram.readUInt16BE(OFFSET.source),
    to: datagram.readUInt16BE(OFFSET.destination),
    data: datagram.subarray(HEADER),
  };
}

/** Builds the payload of an IPv4 packet. */
export function buildDatagram({ from, to, data }: Datagram, addresses: Addresses): Buffer {
  const header = Buffer.alloc(HEADER);
  header.writeUInt16BE(from, OFFSET.source);
  header.writeUInt16BE(to, OFFSET.destination);
  header.writeUInt16BE(HEADER + data.length, OFFSET.length);
  const sum = checksum(pseudoHeader(addresses, HEADER + data.length), header, data);
  header.writeUInt16BE(sentChecksum(sum), OFFSET.checksum);
  return Buffer.concat([header, data]);
}
