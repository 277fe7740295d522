/**
 * Blocks of a pcapng file (draft-ietf-opsawg-pcapng), little-endian: u32 type, u32 total length, body, u32 total length again.
 * Options are u16 code, u16 length, value padded to 4 bytes; code 0 ends them.
 */
const BLOCK = { section: 0x0a0d0d0a, interface: 1, statistics: 5, packet: 6 } as const;
const BYTE_ORDER = 0x1a2b3c4d;
const VERSION = { major: 1, minor: 0 } as const;
/** The section's length is not known while it is written. */
const LENGTH_UNKNOWN = -1n;
const LINKTYPE_ETHERNET = 1;
/** Ticks of 10^-6 s. */
const MICROSECONDS = 6;
const OPTION = {
  end: 0,
  comment: 1,
  application: 4,
  interfaceName: 2,
  resolution: 9,
  packetFlags: 2,
  startTime: 2,
  endTime: 3,
  received: 4,
  dropped: 5,
} as const;
const DIRECTION = { inbound: 1, outbound: 2 } as const;
/** Characters of a comment: well below the 65535 bytes that an option has room for. */
const COMMENT_LENGTH = 4096;

/** As its interface sees a frame: `inbound` comes from the guest, `outbound` goes to it. */
export type Direction = keyof typeof DIRECTION;

type Option = readonly [code: number, value: Buffer];

const u32 = (...values: number[]): Buffer => {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [i, value] of values.entries()) bytes.writeUInt32LE(value, 4 * i);
  return bytes;
};
const u64 = (value: number): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};
const aligned = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);

/** Microseconds since 1970, the high half first. */
const ticks = (us: number): Buffer => u32(Math.floor(us / 2 ** 32), us % 2 ** 32);

function encodeOptions(options: readonly Option[]): Buffer {
  const all = [...options, [OPTION.end, Buffer.alloc(0)] as const];
  return Buffer.concat(all.flatMap(([code, value]) => [u32(value.length * 0x10000 + code), aligned(value)]));
}

function block(type: number, body: Buffer, options: readonly Option[]): Buffer {
  const tail = options.length > 0 ? encodeOptions(options) : Buffer.alloc(0);
  const length = 12 + body.length + tail.length;
  return Buffer.concat([u32(type, length), body, tail, u32(length)]);
}

/** Section Header Block: the first of a file. `application` is who writes it. */
export function sectionBlock(application: string): Buffer {
  const body = Buffer.alloc(16);
  body.writeUInt32LE(BYTE_ORDER);
  body.writeUInt16LE(VERSION.major, 4);
  body.writeUInt16LE(VERSION.minor, 6);
  body.writeBigInt64LE(LENGTH_UNKNOWN, 8);
  return block(BLOCK.section, body, [[OPTION.application, Buffer.from(application)]]);
}

/** Interface Description Block of Ethernet, of whole frames. */
export const interfaceBlock = (name: string): Buffer =>
  block(BLOCK.interface, u32(LINKTYPE_ETHERNET, 0), [
    [OPTION.interfaceName, Buffer.from(name)],
    [OPTION.resolution, Buffer.of(MICROSECONDS)],
  ]);

/** Enhanced Packet Block of the first interface. `us`: microseconds since 1970. A note without a packet has an empty frame. */
export function packetBlock(
  frame: Buffer,
  { us, direction, comments }: { us: number; direction?: Direction; comments: readonly string[] },
): Buffer {
  const options = comments.map((text): Option => [OPTION.comment, Buffer.from(text.slice(0, COMMENT_LENGTH))]);
  if (direction) options.push([OPTION.packetFlags, u32(DIRECTION[direction])]);
  const body = Buffer.concat([u32(0), ticks(us), u32(frame.length, frame.length), aligned(frame)]);
  return block(BLOCK.packet, body, options);
}

/** Interface Statistics Block: how many frames there were from `start` to `end` in microseconds, and how many are left out. */
export function statisticsBlock(counts: { start: number; end: number; received: number; dropped: number }): Buffer {
  return block(BLOCK.statistics, Buffer.concat([u32(0), ticks(counts.end)]), [
    [OPTION.startTime, ticks(counts.start)],
    [OPTION.endTime, ticks(counts.end)],
    [OPTION.received, u64(counts.received)],
    [OPTION.dropped, u64(counts.dropped)],
  ]);
}
