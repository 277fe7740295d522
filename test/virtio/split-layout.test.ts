import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeDescriptor,
  decodeUsed,
  encodeDescriptors,
  encodeHeads,
  encodeUsed,
  needsEvent,
  ringSlices,
  splitLayout,
  wrap16,
} from '../../src/virtio/index.js';

const u16 = fc.nat(0xffff);
const u32 = fc.nat(0xffffffff);

describe('split layout', () => {
  it('places the parts of a 256-entry ring as the specification sizes them', () => {
    expect(splitLayout(256)).toEqual({ desc: 0, avail: 4096, used: 4616, length: 6672 });
  });

  it('keeps alignment and room at every size', () => {
    for (let size = 1; size <= 32768; size *= 2) {
      const { avail, used, length } = splitLayout(size);
      expect((avail % 2) | (used % 4) | (length % 16)).toBe(0);
      expect(used - avail).toBeGreaterThanOrEqual(6 + 2 * size);
      expect(length - used).toBeGreaterThanOrEqual(6 + 8 * size);
    }
  });

  it('encodes a descriptor byte by byte', () => {
    const bytes = encodeDescriptors([{ addr: 0x1122334455667788n, length: 0x99aabbcc, flags: 3, next: 0xddee }]);
    expect(bytes.toString('hex')).toBe('8877665544332211ccbbaa990300eedd');
  });

  it('round-trips descriptors and used elements', () => {
    const descriptors = fc.record({ addr: fc.bigInt(0n, 2n ** 64n - 1n), length: u32, flags: u16, next: u16 });
    fc.assert(
      fc.property(fc.array(descriptors), fc.array(fc.record({ head: u32, written: u32 })), (list, used) => {
        const table = encodeDescriptors(list);
        expect(list.map((_, i) => decodeDescriptor(table, i))).toEqual(list);
        expect(decodeUsed(encodeUsed(used))).toEqual(used);
      }),
    );
    expect(encodeHeads([1, 0x203]).toString('hex')).toBe('01000302');
  });

  it('cuts a run at the wrap and nowhere else', () => {
    fc.assert(
      fc.property(fc.constantFrom(1, 4, 256), u16, fc.nat(256), (size, idx, n) => {
        const count = Math.min(n, size);
        const slots = ringSlices(size, idx, count).flatMap(({ slot, from, count: k }) =>
          Array.from({ length: k }, (_, i) => [from + i, slot + i]),
        );
        expect(slots).toEqual(Array.from({ length: count }, (_, i) => [i, (idx + i) % size]));
      }),
    );
  });

  it('asks for an event exactly when the index passes it', () => {
    fc.assert(
      fc.property(u16, u16, fc.nat(1000), (event, old, step) => {
        const passed = Array.from({ length: step }, (_, i) => wrap16(old + i)).includes(event);
        expect(needsEvent(event, wrap16(old + step), old)).toBe(passed);
      }),
    );
  });
});
