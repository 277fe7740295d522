import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { completeChecksum } from '../../src/switch/index.js';
import { bytes, Lab, wrongWith } from './lab.js';
import { echo6, HOST } from './questions.js';

describe('completeChecksum', () => {
  it('fills in what the guest has left to the device', () => {
    // A UDP datagram of 10.73.0.100:68 to 10.73.0.1:67 with the sum of its pseudo header: 0a49 + 64 + 0a49 + 1 + 11 + 0a.
    const head = `${HOST} 52 54 00 00 00 0a 0800 45 00 001e 0000 4000 40 11 25d9 0a49 0064 0a49 0001`;
    const frame = bytes(head, '0044 0043 000a 1512', 'abcd');
    expect(completeChecksum(frame, 34, 6)).toBe(true);
    expect(frame.subarray(34)).toEqual(bytes('0044 0043 000a 3e8f', 'abcd'));
    expect(wrongWith(frame)).toEqual([]);
  });

  it('makes an echo request that the host answers', () => {
    const frame = Buffer.from(echo6.ask);
    let sum = 0;
    for (let i = 22; i < 54; i += 2) sum += frame.readUInt16BE(i);
    sum += frame.length - 54 + 58;
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
    frame.writeUInt16BE(sum, 56);
    const { port, inbox } = new Lab().guest('a');
    port.receive(frame);
    expect(port.counters.dropped).toEqual({ checksum: 1 });
    expect(completeChecksum(frame, 54, 2)).toBe(true);
    expect(frame).toEqual(echo6.ask);
    port.receive(frame);
    expect(inbox).toHaveLength(1);
  });

  it('sends ffff where the sum says zero, which would be none', () => {
    const frame = bytes('ffff 0000');
    expect(completeChecksum(frame, 0, 2)).toBe(true);
    expect(frame).toEqual(bytes('ffff ffff'));
  });

  it('refuses what lies outside of the frame, and leaves it as it was', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat(0xffff), fc.nat(0xffff), (array, start, offset) => {
        const frame = Buffer.from(array);
        const before = Buffer.from(frame);
        const isInside = start + offset + 2 <= frame.length;
        expect(completeChecksum(frame, start, offset)).toBe(isInside);
        if (!isInside) expect(frame).toEqual(before);
      }),
    );
    for (const [start, offset] of [
      [-2, 2],
      [2, -2],
      [0.5, 1],
      [Number.NaN, 0],
      [0, Number.POSITIVE_INFINITY],
    ] as const)
      expect(completeChecksum(bytes('00112233'), start, offset)).toBe(false);
    expect(completeChecksum(bytes('00112233'), 0, 2)).toBe(true);
    expect(completeChecksum(bytes('00112233'), 1, 2)).toBe(false);
  });
});
