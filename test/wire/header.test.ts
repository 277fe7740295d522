import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeHeader, encodeMessage, HEADER_SIZE, VERSION } from '../../src/wire/index.js';

describe('the header', () => {
  it('round-trips', () => {
    fc.assert(
      fc.property(fc.nat(0xffffffff), fc.nat(0x3fffffff), fc.uint8Array(), (request, rest, bytes) => {
        const flags = rest * 4 + VERSION;
        const payload = Buffer.from(bytes);
        const message = encodeMessage({ request, flags, payload });
        expect(decodeHeader(message)).toEqual({ request, flags, size: payload.length });
        expect(message.subarray(HEADER_SIZE)).toEqual(payload);
      }),
    );
  });

  it.each([0, 11])('of %i bytes is refused', (length) => {
    expect(() => decodeHeader(Buffer.alloc(length))).toThrow(expect.objectContaining({ code: 'ERR_WIRE_SHORT' }));
  });

  it.each([0, 2, 3])('of version %i is refused', (version) => {
    const bytes = Buffer.alloc(HEADER_SIZE);
    bytes.writeUInt32LE(version, 4);
    expect(() => decodeHeader(bytes)).toThrow(expect.objectContaining({ code: 'ERR_WIRE_VERSION' }));
  });

  it('refuses to encode a request number that is no u32', () => {
    expect(() => encodeMessage({ request: -1, flags: VERSION, payload: Buffer.alloc(0) })).toThrow(
      expect.objectContaining({ code: 'ERR_WIRE_RANGE' }),
    );
  });
});
