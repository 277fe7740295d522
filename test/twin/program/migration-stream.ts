/** Parts of a migration stream as QEMU 7.2 sends it (migration/savevm.c, migration/ram.c). */

export const PAGE = 4096;
const SECTION = 2;
const BLOCK = 'mem';
const FLAG = { zero: 0x02n, size: 0x04n, page: 0x08n, end: 0x10n, sameBlock: 0x20n };
const ZEROS = Buffer.alloc(PAGE);

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
const u64 = (value: bigint): Buffer => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
};
const short = (text: string): Buffer => Buffer.concat([Buffer.of(text.length), Buffer.from(text)]);
const footer = Buffer.concat([Buffer.of(0x7e), u32(SECTION)]);

/** What a stream begins with: the machine's name, and the one block of memory, `size` bytes of it. */
export const head = (size: bigint): Buffer =>
  Buffer.concat([
    Buffer.from('QEVM'),
    u32(3),
    Buffer.of(0x07),
    u32(7),
    Buffer.from('microvm'),
    Buffer.of(0x01),
    u32(SECTION),
    short('ram'),
    u32(0),
    u32(4),
    u64(size | FLAG.size),
    short(BLOCK),
    u64(size),
    u64(FLAG.end),
    footer,
  ]);

/** A section of memory. `last`: its end. */
export const section = (pages: readonly Buffer[], last = false): Buffer =>
  Buffer.concat([Buffer.of(last ? 0x03 : 0x02), u32(SECTION), ...pages, u64(FLAG.end), footer]);

/** A page of it; the first of all names its block. */
export function page(offset: number, content: Buffer, first: boolean): Buffer {
  const zero = content.equals(ZEROS);
  const flags = (zero ? FLAG.zero : FLAG.page) | (first ? 0n : FLAG.sameBlock);
  return Buffer.concat([u64(BigInt(offset) | flags), ...(first ? [short(BLOCK)] : []), zero ? Buffer.of(0) : content]);
}

/** A ring as a stream has it. */
export interface SavedRing {
  size: number;
  desc: bigint;
  /** The next buffer to take. */
  next: number;
}

/** The state of virtio-net on virtio-mmio (hw/virtio/virtio.c, virtio_save), but for what nobody reads before the rings. */
const netState = (rings: readonly SavedRing[]): Buffer =>
  Buffer.concat([
    Buffer.alloc(64, 0x06),
    u32(rings.length),
    ...rings.flatMap(({ size, desc, next }) => [u32(size), u32(PAGE), u64(desc), Buffer.of(next >> 8, next & 0xff)]),
  ]);

/** What a stream ends with: the network device, the end mark and the description. */
export function tail(rings: readonly SavedRing[] = []): Buffer {
  const description = Buffer.from('{"devices":[{"name":"virtio-net"}]}');
  const device = Buffer.concat([Buffer.of(0x04), u32(3), short('virtio-net'), u32(0), u32(11), netState(rings)]);
  return Buffer.concat([device, Buffer.of(0x00, 0x06), u32(description.length), description]);
}
