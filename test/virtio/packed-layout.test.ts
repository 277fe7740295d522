import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  advance,
  availableBits,
  decodePacked,
  encodeEvent,
  encodePacked,
  fromHalf,
  isAvailable,
  isUsed,
  PACKED_FRESH_BASE,
  packedBase,
  packedBaseText,
  packedLayout,
  passes,
  toHalf,
  usedBits,
  wantsEvent,
} from '../../src/virtio/index.js';

const sizes = fc.constantFrom(1, 2, 8, 256, 32768);
/** A ring size and places in the ring. */
const places = (count: number) =>
  sizes.chain((size) =>
    fc.tuple(fc.constant(size), fc.array(fc.nat(2 * size - 1), { minLength: count, maxLength: count })),
  );

describe('packed layout', () => {
  it('places ring and events, aligned', () => {
    expect(packedLayout(256)).toEqual({ desc: 0, avail: 4096, used: 4100, length: 4112 });
    for (let size = 1; size <= 32768; size *= 2) {
      const { avail, used, length } = packedLayout(size);
      expect((avail % 4) | (used % 4) | (length % 16)).toBe(0);
      expect(length - used).toBeGreaterThanOrEqual(4);
    }
  });

  it('encodes a descriptor byte by byte, and back', () => {
    const descriptor = { addr: 0x1122334455667788n, length: 0x99aabbcc, id: 0xddee, flags: 0x8083 };
    const bytes = encodePacked([descriptor, descriptor]);
    expect(bytes.subarray(16).toString('hex')).toBe('8877665544332211ccbbaa99eedd8380');
    expect(decodePacked(bytes, 1)).toEqual(descriptor);
  });

  it('says index and wrap counter of a place in 16 bits, and back', () => {
    expect([toHalf(0, 256), toHalf(255, 256), toHalf(256, 256), toHalf(511, 256)]).toEqual([0x8000, 0x80ff, 0, 0xff]);
    fc.assert(
      fc.property(places(1), ([size, [place]]) => {
        expect(fromHalf(toHalf(place!, size), size)).toBe(place);
      }),
    );
    expect(fromHalf(0x8100, 256)).toBeUndefined();
    expect(fromHalf(0x100, 256)).toBeUndefined();
  });

  it('tells bases as SET_VRING_BASE carries them', () => {
    expect(packedBase(0, 0, 256)).toBe(PACKED_FRESH_BASE);
    expect(packedBase(16, 300, 256)).toBe(0x002c8010);
    expect(packedBase(300, 16, 256)).toBe(0x8010002c);
    expect(packedBaseText(0x8010002c)).toBe('0x8010002c (index 44, wrap counter 0)');
    expect(packedBaseText(0x8010)).toBe('0x00008010 (index 16, wrap counter 1)');
  });

  it('knows available, used and neither apart at every place', () => {
    fc.assert(
      fc.property(places(1), fc.nat(0xffff), ([size, [place]], noise) => {
        const flags = (bits: number) => bits | (noise & ~0x8080);
        const last = advance(place!, size, size);
        expect(isAvailable(flags(availableBits(place!, size)), place!, size)).toBe(true);
        expect(isUsed(flags(usedBits(place!, size)), place!, size)).toBe(true);
        // What a slot had in the round before says nothing now.
        for (const bits of [availableBits(last, size), usedBits(last, size)]) {
          expect(isUsed(flags(bits), place!, size)).toBe(false);
          expect(isAvailable(flags(bits), place!, size)).toBe(false);
        }
      }),
    );
  });
});

describe('event suppression', () => {
  it('passes a place exactly when one of the steps was on it', () => {
    fc.assert(
      fc.property(places(2), fc.nat(), ([size, [event, old]], n) => {
        const steps = n % (size + 1);
        const stepped = Array.from({ length: steps }, (_, i) => advance(old!, i, size));
        expect(passes(event!, advance(old!, steps, size), old!, size)).toBe(stepped.includes(event!));
      }),
    );
  });

  it('wants by flags, and by the place only where that was negotiated', () => {
    const wants = (flags: number, event: number, eventIdx = true) =>
      wantsEvent(encodeEvent(flags, event, 8), { next: 5, old: 2, size: 8, eventIdx });
    expect([wants(0, 0), wants(1, 3), wants(3, 0)]).toEqual([true, false, true]);
    expect([wants(2, 1), wants(2, 2), wants(2, 4), wants(2, 5), wants(2, 10)]).toEqual([
      false,
      true,
      true,
      false,
      false,
    ]);
    expect(wants(2, 1, false)).toBe(true);
    // A place beyond the ring is none.
    expect(wantsEvent(Buffer.from('09800200', 'hex'), { next: 5, old: 2, size: 8, eventIdx: true })).toBe(true);
  });
});
