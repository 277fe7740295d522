import { crc32 } from 'node:zlib';

/**
 * The tester's Ethernet frame. Byte 0: destination, broadcast, so that no MAC filter drops it. 6: source,
 * 02:56:52 + direction + pair (2). 12: EtherType 0x88b5 (IEEE local experimental). 14: magic "VRC1". 18: direction (1),
 * 19: zero, 20: pair (2), 22: sequence number (4), 26: pattern, last 4: CRC-32 of all before. Numbers are big-endian.
 */
const ETHERTYPE = 0x88b5;
const MAGIC = 0x56524331;
const DIRECTIONS = ['tx', 'rx'] as const;
const OFFSET = { source: 6, ethertype: 12, magic: 14, direction: 18, pair: 20, seq: 22, pattern: 26 } as const;
const CRC_SIZE = 4;

/** Length of a frame in bytes: a little above Ethernet's minimum of 60, so that nobody pads it. */
export const PACKET_LENGTH = 64;

/** Who sent a packet: `tx` the driver, `rx` the peer; on which queue pair; its number, 32 bits. */
export interface PacketId {
  dir: 'tx' | 'rx';
  pair: number;
  seq: number;
}

/** Builds the frame, without a virtio-net header. */
export function buildPacket({ dir, pair, seq }: PacketId): Buffer {
  const frame = Buffer.alloc(PACKET_LENGTH);
  const direction = DIRECTIONS.indexOf(dir);
  frame.fill(0xff, 0, OFFSET.source);
  frame.set([0x02, 0x56, 0x52, direction], OFFSET.source);
  frame.writeUInt16BE(pair, OFFSET.source + 4);
  frame.writeUInt16BE(ETHERTYPE, OFFSET.ethertype);
  frame.writeUInt32BE(MAGIC, OFFSET.magic);
  frame[OFFSET.direction] = direction;
  frame.writeUInt16BE(pair, OFFSET.pair);
  frame.writeUInt32BE(seq, OFFSET.seq);
  for (let i = OFFSET.pattern; i < PACKET_LENGTH - CRC_SIZE; i++) frame[i] = (seq + i) & 0xff;
  frame.writeUInt32BE(crc32(frame.subarray(0, -CRC_SIZE)), PACKET_LENGTH - CRC_SIZE);
  return frame;
}

/** Reads a frame that buildPacket made; undefined when a single bit of it is not as it was made. */
export function parsePacket(frame: Buffer): PacketId | undefined {
  if (frame.length !== PACKET_LENGTH) return undefined;
  const dir = DIRECTIONS[frame[OFFSET.direction]!];
  if (!dir) return undefined;
  const id = { dir, pair: frame.readUInt16BE(OFFSET.pair), seq: frame.readUInt32BE(OFFSET.seq) };
  return frame.equals(buildPacket(id)) ? id : undefined;
}
