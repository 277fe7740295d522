import { describe, expect, it } from 'vitest';
import { MigrationStream, PAGE_SIZE, ReceivedPages } from '../../src/migration/index.js';
import { WrittenPages } from '../../src/peer/index.js';

const u32 = (value: number): string => value.toString(16).padStart(8, '0');
const u64 = (value: number): string => value.toString(16).padStart(16, '0');
const text = (value: string): string => Buffer.from(value).toString('hex');
const short = (value: string): string => value.length.toString(16).padStart(2, '0') + text(value);
const FOOTER = `7e${u32(2)}`;
const END = u64(0x10);
const FULL = 'ab'.repeat(PAGE_SIZE);

/** As QEMU 7.2 begins: magic, version, the machine's name, a command, the start of the section of memory. */
const HEAD = [
  '5145564d00000003',
  `07${u32(3)}${text('q35')}`,
  '080001000400000001',
  `01${u32(2)}${short('ram')}${u32(0)}${u32(4)}`,
  `${u64(0x5000 | 4)}${short('mem')}${u64(0x4000)}${short('rom')}${u64(0x1000)}${END}${FOOTER}`,
].join('');
const part = (pages: string, kind = '02'): string => `${kind}${u32(2)}${pages}${END}${FOOTER}`;
const ZERO_FIRST = `${u64(0x0000 | 2)}${short('mem')}00`;
const TAIL = `04${u32(7)}06060006${text('state')}`;
const DESCRIBED = `0006${u32(2)}${text('{}')}`;

type Seen = [block: string, offset: number, content: string];
function read(bytes: Buffer, size = bytes.length): { stream: MigrationStream; seen: Seen[] } {
  const seen: Seen[] = [];
  const stream = new MigrationStream({
    page: (block, offset, content) => seen.push([block, offset, content?.toString('hex') ?? 'zeros']),
  });
  for (let at = 0; at < bytes.length; at += size) stream.push(bytes.subarray(at, at + size));
  return { stream, seen };
}
const hex = (...parts: string[]): Buffer => Buffer.from(parts.join(''), 'hex');

const whole = hex(
  HEAD,
  part(`${ZERO_FIRST}${u64(0x1000 | 0x28)}${FULL}`),
  // The same block goes on in the next section; then another.
  part(`${u64(0x2000 | 0x22)}00${u64(0x0000 | 8)}${short('rom')}${FULL}`),
  part(`${u64(0x1000 | 2)}${short('mem')}00`, '03'),
  TAIL,
  DESCRIBED,
);

describe('a migration stream', () => {
  it.each([whole.length, 1, 7, 4096])('gives its pages, in pieces of %d bytes', (size) => {
    const { stream, seen } = read(whole, size);
    expect(stream.blocks).toEqual([
      { name: 'mem', length: 0x4000 },
      { name: 'rom', length: 0x1000 },
    ]);
    expect(seen).toEqual([
      ['mem', 0, 'zeros'],
      ['mem', 0x1000, FULL],
      ['mem', 0x2000, 'zeros'],
      ['rom', 0, FULL],
      ['mem', 0x1000, 'zeros'],
    ]);
    expect(stream.complete).toBe(true);
  });

  it('is complete with its end only', () => {
    expect(read(whole.subarray(0, -1)).stream.complete).toBe(false);
    expect(read(hex(HEAD, part(ZERO_FIRST))).stream.complete).toBe(false);
    expect(read(hex(HEAD, part('', '03'), TAIL)).stream.complete).toBe(false);
    expect(read(hex(HEAD, part('', '03'), TAIL, '00')).stream.complete).toBe(true);
    expect(read(Buffer.alloc(0)).stream.complete).toBe(false);
  });

  it.each([
    ['another beginning', 'ERR_MIGRATION_HEADER', `${text('QEVM')}${u32(2)}`],
    ['an unknown part', 'ERR_MIGRATION_SECTION', `${HEAD}33`],
    ['another section', 'ERR_MIGRATION_SECTION', `5145564d0000000301${u32(1)}${short('disk')}`],
    ['a part of another section', 'ERR_MIGRATION_SECTION', `${HEAD}02${u32(9)}`],
    ['a subsection', 'ERR_MIGRATION_SECTION', `5145564d0000000305`],
    ['another footer', 'ERR_MIGRATION_FOOTER', `${HEAD}02${u32(2)}${END}7e${u32(3)}`],
    ['compressed pages', 'ERR_MIGRATION_PAGE', `${HEAD}02${u32(2)}${u64(0x100)}`],
    ['a page outside of its block', 'ERR_MIGRATION_PAGE', `${HEAD}02${u32(2)}${u64(0x4000 | 2)}${short('mem')}`],
    ['a page of no block', 'ERR_MIGRATION_PAGE', `${HEAD}02${u32(2)}${u64(0x22)}`],
  ])('is refused with %s', (_what, code, bytes) => {
    expect(() => read(hex(bytes))).toThrow(expect.objectContaining({ code }));
  });
});

describe('what a peer wrote', () => {
  it('is compared with what came last, byte by byte of what was written', () => {
    const received = new ReceivedPages();
    const written = new WrittenPages((addr) => received.times(Number(addr)));
    received.add(0x1000, undefined);
    received.add(0x2000, undefined);
    // Over the border of two pages, the second of which has not come yet, and one that came and does not come again.
    written.add(0x1ffen, Buffer.of(1, 2, 3, 4));
    written.add(0x3000n, Buffer.of(5));
    const first = Buffer.alloc(PAGE_SIZE, 9);
    first.set([1, 2], 0xffe);
    received.add(0x1000, first);
    expect(received.compare(written)).toEqual({ pages: 3, again: 1, stale: [0x2000n, 0x3000n] });
    const second = Buffer.alloc(PAGE_SIZE);
    second.set([3, 4]);
    received.add(0x2000, second);
    received.add(0x3000, Buffer.alloc(PAGE_SIZE, 5));
    expect(received.compare(written)).toEqual({ pages: 3, again: 2, stale: [] });
    written.add(0x2000n, Buffer.of(7));
    expect(received.compare(written).stale).toEqual([0x2000n]);
    expect(received.repeated).toBe(2);
  });
});
