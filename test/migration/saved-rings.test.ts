import { describe, expect, it } from 'vitest';
import { savedRings } from '../../src/migration/index.js';
import { tail } from '../twin/program/migration-stream.js';

const rings = [
  { index: 0, size: 256, desc: 0x10_0000n },
  { index: 1, size: 256, desc: 0x10_2000n },
  { index: 2, size: 64, desc: 0x1_0000_0000n },
];
const places = rings.map((ring, i) => ({ ...ring, next: 1000 * i }));
const expected = new Map([
  [0, 0],
  [1, 1000],
  [2, 2000],
]);

describe('savedRings', () => {
  it('finds the rings of virtio-net on virtio-mmio', () => expect(savedRings(tail(places), rings)).toEqual(expected));

  it('finds them on PCI, where their alignment is not saved, behind other devices', () => {
    const ring = ({ size, desc, next }: (typeof places)[number]) => {
      const bytes = Buffer.alloc(14);
      bytes.writeUInt32BE(size);
      bytes.writeBigUInt64BE(desc, 4);
      bytes.writeUInt16BE(next, 12);
      return bytes;
    };
    const head = Buffer.from(`${'virtio-net-is-not-this'}${'x'.repeat(40)}0000:00:04.0/virtio-net`);
    // What looks like a ring, with another size.
    const decoy = ring({ ...places[0]!, size: 128, next: 7 });
    const bytes = Buffer.concat([head, Buffer.from([0, 0, 0, 0, 0, 0, 0, 11]), decoy, ...places.map(ring)]);
    expect(savedRings(bytes, rings)).toEqual(expected);
    expect(savedRings(bytes.subarray(0, -1), rings)).toBeUndefined();
  });

  it('finds nothing without the device, in another version of its state, or without one of the rings', () => {
    expect(savedRings(Buffer.alloc(0), rings)).toBeUndefined();
    expect(savedRings(Buffer.from('virtio-net'), rings)).toBeUndefined();
    const other = tail(places);
    other.writeUInt32BE(12, other.indexOf('virtio-net') + 14);
    expect(savedRings(other, rings)).toBeUndefined();
    expect(savedRings(tail(places.slice(0, 2)), rings)).toBeUndefined();
  });
});
