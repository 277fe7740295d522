import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  backEndRequests,
  decodeHeader,
  decodePayload,
  encodeMessage,
  encodePayload,
  type FrontEndName,
  fdRange,
  frontEndRequests,
  HEADER_SIZE,
  MAX_PAYLOAD,
  type MessageSpec,
  type Payload,
  specById,
  specByName,
  toJson,
  WireError,
  type WireErrorCode,
} from '../../src/wire/index.js';
import { anyBytes, kinds, payloadOf } from './arbitraries.js';
import { bytesOf, fixtures } from './fixtures.js';

const requests: readonly MessageSpec[] = [...frontEndRequests, ...backEndRequests];
const anyRequest = fc.constantFrom(...requests);

function codeOf(act: () => unknown): WireErrorCode | undefined {
  try {
    act();
  } catch (error) {
    if (error instanceof WireError) return error.code;
    throw error;
  }
  return undefined;
}

describe.each(fixtures)('$title', (fixture) => {
  const bytes = bytesOf(fixture);
  const spec = specById(fixture.from, fixture.request)!;

  it('decodes', () => {
    const { request, flags, size } = decodeHeader(bytes);
    expect({ request, flags, size }).toEqual({
      request: fixture.request,
      flags: fixture.flags,
      size: bytes.length - HEADER_SIZE,
    });
    expect(decodePayload(spec, fixture.isReply === true, bytes.subarray(HEADER_SIZE))).toEqual(fixture.payload);
  });

  it('is built', () => {
    const { request, flags } = fixture;
    expect(encodeMessage({ request, flags, payload: encodePayload(fixture.payload) })).toEqual(bytes);
  });

  it('has its JSON form', () => expect(toJson(fixture.payload)).toEqual(fixture.json));

  it('has the fds of its rule', () => {
    const rule = fixture.isReply ? spec.reply.fds : spec.request.fds;
    const { min, max } = fdRange(rule, fixture.payload);
    expect(fixture.fds).toBeGreaterThanOrEqual(min);
    expect(fixture.fds).toBeLessThanOrEqual(max);
  });
});

describe('every layout', () => {
  it.each(kinds)('%s is used by a message, and round-trips', (kind) => {
    const uses = requests.flatMap((spec) =>
      [false, true]
        .map((isReply) => ({ spec, isReply, content: isReply ? spec.reply : spec.request }))
        .filter(({ content }) => content.payload === kind || content.or === kind),
    );
    expect(uses).not.toEqual([]);
    fc.assert(
      fc.property(fc.constantFrom(...uses), payloadOf(kind), ({ spec, isReply, content }, payload) => {
        const bytes = encodePayload(payload);
        // A memory table without regions is 8 bytes like a u64; as a reply it cannot be told from an acknowledgement.
        fc.pre(!(kind === 'memory' && content.or === 'u64' && bytes.length === 8));
        expect(decodePayload(spec, isReply, bytes)).toEqual(payload);
        expect(bytes.length).toBeLessThanOrEqual(MAX_PAYLOAD);
      }),
    );
  });

  it.each(kinds)('%s has a JSON form that survives JSON', (kind) => {
    fc.assert(
      fc.property(payloadOf(kind), (payload) => {
        const json = toJson(payload);
        expect(JSON.parse(JSON.stringify(json))).toEqual(json);
        expect(json).not.toHaveProperty('kind');
      }),
    );
  });
});

describe('a hostile sender', () => {
  /** Bytes that nearly are a payload of the request: cut, extended, or with one byte changed. */
  const damaged = anyRequest.chain((spec) =>
    fc
      .record({
        payload: payloadOf(spec.request.payload),
        length: fc.integer({ min: 0, max: 400 }),
        at: fc.nat(400),
        byte: fc.nat(255),
      })
      .map(({ payload, length, at, byte }) => {
        const bytes = Buffer.alloc(length);
        encodePayload(payload).copy(bytes);
        if (at < length) bytes[at] = byte;
        return { spec, bytes };
      }),
  );
  const random = fc.record({ spec: anyRequest, bytes: anyBytes });

  it('gets a WireError or a payload that is what it sent, never anything else', () => {
    fc.assert(
      fc.property(fc.oneof(damaged, random), fc.boolean(), ({ spec, bytes }, isReply) => {
        let payload: Payload;
        try {
          payload = decodePayload(spec, isReply, bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(WireError);
          return;
        }
        const again = encodePayload(payload);
        expect(again.length).toBe(bytes.length);
        expect(decodePayload(spec, isReply, again)).toEqual(payload);
      }),
      { numRuns: 2000 },
    );
  });

  const memory = specByName('SET_MEM_TABLE');
  const counted = (count: number, length: number) => {
    const bytes = Buffer.alloc(length);
    bytes.writeUInt32LE(count);
    return bytes;
  };

  it.each<[string, MessageSpec, Buffer, WireErrorCode]>([
    ['no payload where a u64 is due', specByName('SET_FEATURES'), Buffer.alloc(0), 'ERR_WIRE_SHORT'],
    ['half a u64', specByName('SET_FEATURES'), Buffer.alloc(4), 'ERR_WIRE_SHORT'],
    ['a payload where none is due', specByName('SET_OWNER'), Buffer.alloc(1), 'ERR_WIRE_TRAILING'],
    ['a region count without regions', memory, counted(1, 8), 'ERR_WIRE_SHORT'],
    ['more regions than counted', memory, counted(1, 72), 'ERR_WIRE_TRAILING'],
    ['more regions than slots', memory, counted(9, 8 + 9 * 32), 'ERR_WIRE_REGIONS'],
    ['4 Gi regions', memory, counted(0xffffffff, 40), 'ERR_WIRE_REGIONS'],
    ['regions with Xen members', memory, counted(1, 48), 'ERR_WIRE_TRAILING'],
    ['half a region count', memory, Buffer.alloc(4), 'ERR_WIRE_SHORT'],
    ['4 GiB of config space', specByName('SET_CONFIG'), Buffer.alloc(12, 0xff), 'ERR_WIRE_SHORT'],
    ['config space without its head', specByName('SET_CONFIG'), Buffer.alloc(11), 'ERR_WIRE_SHORT'],
    ['a ring above 255', specByName('SET_VRING_KICK'), counted(0x200, 8), 'ERR_WIRE_RESERVED'],
    ['a log that is neither layout', specByName('SET_LOG_BASE'), Buffer.alloc(12), 'ERR_WIRE_SHORT'],
  ])('is refused %s', (_, spec, bytes, code) => {
    expect(codeOf(() => decodePayload(spec, false, bytes))).toBe(code);
  });

  it('is refused more shared memory regions than there are ids', () => {
    expect(codeOf(() => decodePayload(specByName('GET_SHMEM_CONFIG'), true, Buffer.alloc(8 + 257 * 8)))).toBe(
      'ERR_WIRE_REGIONS',
    );
  });

  it('is told what is wrong and where to look', () => {
    const act = () => decodePayload(specByName('SET_FEATURES'), true, Buffer.alloc(3));
    expect(act).toThrow('reply to SET_FEATURES: 3 bytes of payload, expected 8');
    expect(act).toThrow(expect.objectContaining({ hint: expect.stringMatching(/./) }));
  });
});

describe('layouts told apart by size', () => {
  it.each<[FrontEndName, 'request' | 'reply', number, Payload['kind']]>([
    ['SET_LOG_BASE', 'request', 16, 'log'],
    ['SET_LOG_BASE', 'request', 8, 'u64'],
    ['SET_MEM_TABLE', 'reply', 8, 'u64'],
    ['SET_MEM_TABLE', 'request', 8, 'memory'],
    ['ADD_MEM_REG', 'reply', 40, 'memory-region'],
    ['ADD_MEM_REG', 'reply', 8, 'u64'],
    ['GET_CONFIG', 'reply', 0, 'none'],
    ['GET_CONFIG', 'reply', 12, 'config'],
  ])('%s %s of %i bytes is %s', (name, part, size, kind) => {
    expect(decodePayload(specByName(name), part === 'reply', Buffer.alloc(size)).kind).toBe(kind);
  });
});

describe('values that do not fit', () => {
  it.each<[string, Payload]>([
    ['a negative u64', { kind: 'u64', value: -1n }],
    ['65 bits', { kind: 'u64', value: 2n ** 64n }],
    ['33 bits', { kind: 'vring-state', index: 0, num: 2 ** 32 }],
    ['a fraction', { kind: 'vring-state', index: 0.5, num: 0 }],
    ['ring 256', { kind: 'vring-fd', index: 256, noFd: false }],
    ['17 bits', { kind: 'inflight', mmapSize: 0n, mmapOffset: 0n, numQueues: 0, queueSize: 0x10000 }],
    ['15 bytes of UUID', { kind: 'shared-object', uuid: Buffer.alloc(15) }],
  ])('%s is refused', (_, payload) => {
    expect(codeOf(() => encodePayload(payload))).toBe('ERR_WIRE_RANGE');
  });
});

describe('fdRange', () => {
  it.each<[Parameters<typeof fdRange>, [number, number]]>([
    [
      ['none', { kind: 'none' }],
      [0, 0],
    ],
    [
      ['one', { kind: 'none' }],
      [1, 1],
    ],
    [
      ['optional', { kind: 'none' }],
      [0, 1],
    ],
    [
      ['unless-bit-8', { kind: 'vring-fd', index: 1, noFd: true }],
      [0, 0],
    ],
    [
      ['unless-bit-8', { kind: 'vring-fd', index: 1, noFd: false }],
      [1, 1],
    ],
    [
      ['unless-bit-8', { kind: 'u64', value: 0x100n }],
      [0, 0],
    ],
    [
      ['unless-bit-8', { kind: 'u64', value: 0n }],
      [1, 1],
    ],
    [
      ['unless-bit-8', { kind: 'vring-area', vring: { index: 0, noFd: true }, size: 0n, offset: 0n }],
      [0, 0],
    ],
    [
      ['per-region', { kind: 'memory', regions: [] }],
      [0, 0],
    ],
  ])('%o is %o', (args, [min, max]) => {
    expect(fdRange(...args)).toEqual({ min, max });
  });
});
