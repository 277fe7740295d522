import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  buildPacket,
  controlQueueIndex,
  mqPairsSet,
  netConfigSize,
  PACKET_LENGTH,
  parseNetConfig,
  parsePacket,
  virtioNetHeader,
} from '../../src/virtio/index.js';

const packets = fc.record({
  dir: fc.constantFrom('tx' as const, 'rx' as const),
  pair: fc.nat(0xffff),
  seq: fc.nat(0xffffffff),
});

describe('packet', () => {
  it('comes back as it was built', () => {
    fc.assert(
      fc.property(packets, (id) => {
        expect(parsePacket(buildPacket(id))).toEqual(id);
      }),
    );
  });

  it('is corrupt with any bit flipped, cut or padded', () => {
    fc.assert(
      fc.property(packets, fc.nat(PACKET_LENGTH * 8 - 1), (id, bit) => {
        const frame = buildPacket(id);
        frame[bit >> 3]! ^= 1 << (bit & 7);
        expect(parsePacket(frame)).toBeUndefined();
      }),
    );
    const frame = buildPacket({ dir: 'tx', pair: 0, seq: 1 });
    expect(parsePacket(frame.subarray(1))).toBeUndefined();
    expect(parsePacket(Buffer.concat([frame, Buffer.alloc(1)]))).toBeUndefined();
    expect(parsePacket(Buffer.alloc(0))).toBeUndefined();
  });

  it('looks like this on the wire', () => {
    expect(buildPacket({ dir: 'rx', pair: 3, seq: 0x01020304 }).subarray(0, 30).toString('hex')).toBe(
      'ffffffffffff025652010003' + '88b5' + '56524331' + '0100' + '0003' + '01020304' + '1e1f2021',
    );
  });
});

describe('virtio-net', () => {
  it('has a header that says one buffer, in the form that can', () => {
    expect(virtioNetHeader(12).toString('hex')).toBe('000000000000000000000100');
    expect(virtioNetHeader(10).toString('hex')).toBe('00000000000000000000');
  });

  it('reads address, link and pairs from the configuration space', () => {
    const bytes = Buffer.from('525400123456' + '0100' + '0400', 'hex');
    expect(parseNetConfig(bytes)).toEqual({
      mac: Buffer.from('525400123456', 'hex'),
      linkUp: true,
      announce: false,
      maxPairs: 4,
    });
    bytes[6] = 2;
    expect(parseNetConfig(bytes)).toMatchObject({ linkUp: false, announce: true });
    expect([netConfigSize(false), netConfigSize(true)]).toEqual([10, 12]);
    expect(parseNetConfig(Buffer.concat([bytes, Buffer.of(0x28, 0x23)]))).toMatchObject({ mtu: 9000 });
  });

  it('builds the command that sets the number of pairs', () => {
    const { header, data } = mqPairsSet(0x102);
    expect(Buffer.concat([header, data]).toString('hex')).toBe('04000201');
    expect(controlQueueIndex(4)).toBe(8);
  });
});
