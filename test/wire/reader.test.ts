import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  encodeMessage,
  HEADER_SIZE,
  MAX_PAYLOAD,
  type RawMessage,
  StreamReader,
  VERSION,
  WireError,
} from '../../src/wire/index.js';
import { bytesOf, fixtures } from './fixtures.js';

interface Sent {
  bytes: Buffer;
  fds: number[];
}

/**
 * A stream socket as unix_stream_read_generic() of Linux has it: a read takes what was sent without fds together with
 * what follows, gets the fds of the first piece that has some, and ends with that piece.
 */
class FakeSocket {
  readonly #queue: Sent[];

  constructor(sent: readonly Sent[]) {
    this.#queue = sent.filter(({ bytes }) => bytes.length > 0).map(({ bytes, fds }) => ({ bytes, fds: [...fds] }));
  }

  receive(max: number): Sent | undefined {
    const parts: Buffer[] = [];
    let room = max;
    let fds: number[] = [];
    while (room > 0 && this.#queue.length > 0 && fds.length === 0) {
      const head = this.#queue[0]!;
      fds = head.fds.splice(0);
      const part = head.bytes.subarray(0, room);
      parts.push(part);
      room -= part.length;
      head.bytes = head.bytes.subarray(part.length);
      if (head.bytes.length === 0) this.#queue.shift();
    }
    return parts.length > 0 ? { bytes: Buffer.concat(parts), fds } : undefined;
  }
}

function readAll(sent: readonly Sent[], reader = new StreamReader()): RawMessage[] {
  const socket = new FakeSocket(sent);
  const messages: RawMessage[] = [];
  for (;;) {
    const chunk = socket.receive(reader.want);
    if (!chunk) return messages;
    const message = reader.push(chunk.bytes, chunk.fds);
    if (message) messages.push(message);
  }
}

/** Cuts bytes after each of the offsets. */
function cut(bytes: Buffer, offsets: readonly number[]): Buffer[] {
  const bounds = [0, ...[...offsets].sort((a, b) => a - b), bytes.length];
  return bounds.slice(1).map((end, i) => bytes.subarray(bounds[i], end));
}

function errorOf(act: () => unknown): WireError {
  try {
    act();
  } catch (error) {
    if (error instanceof WireError) return error;
    throw error;
  }
  throw new Error('expected a WireError');
}

const setOwner = encodeMessage({ request: 3, flags: VERSION, payload: Buffer.alloc(0) });

describe.each(fixtures)('$title', (fixture) => {
  const bytes = bytesOf(fixture);
  const { request, flags } = fixture;
  const fds = Array.from({ length: fixture.fds }, (_, i) => 100 + i);
  const expected = { request, flags, payload: Buffer.from(bytes.subarray(HEADER_SIZE)), fds };
  const owner = { request: 3, flags: VERSION, payload: Buffer.alloc(0), fds: [] };

  it('survives a cut at every byte, with its fds on either part, between messages without', () => {
    for (let offset = 0; offset <= bytes.length; offset++) {
      for (const carrier of [0, 1]) {
        const parts = cut(bytes, [offset]);
        if (parts[carrier]!.length === 0) continue;
        const sent = parts.map((part, i) => ({ bytes: part, fds: i === carrier ? fds : [] }));
        const around = { bytes: setOwner, fds: [] };
        expect(readAll([around, ...sent, around])).toEqual([owner, expected, owner]);
      }
    }
  });

  it('survives single bytes', () => {
    const sent = [...bytes].map((byte, i) => ({ bytes: Buffer.of(byte), fds: i === bytes.length - 1 ? fds : [] }));
    expect(readAll(sent)).toEqual([expected]);
  });

  it('shows what is pending until it is whole', () => {
    const reader = new StreamReader();
    for (let offset = 0; offset < bytes.length; offset++) {
      expect(reader.pending).toEqual({ bytes: offset, fds: offset === 0 ? [] : fds });
      reader.push(bytes.subarray(offset, offset + 1), offset === 0 ? fds : []);
    }
    expect(reader.pending).toEqual({ bytes: 0, fds: [] });
    expect(reader.want).toBe(HEADER_SIZE);
  });
});

describe('any stream', () => {
  const message = fc
    .record({
      request: fc.nat(0xffffffff),
      flags: fc.nat(0x3fffffff).map((rest) => rest * 4 + VERSION),
      payload: fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.from(bytes)),
      fds: fc.uniqueArray(fc.integer({ min: 3, max: 1000 }), { maxLength: 8 }),
    })
    .chain((raw) => {
      const bytes = encodeMessage(raw);
      return fc
        .record({
          offsets: fc.uniqueArray(fc.integer({ min: 1, max: bytes.length - 1 }), { maxLength: 6 }),
          carriers: fc.array(fc.nat(6), { minLength: raw.fds.length, maxLength: raw.fds.length }),
        })
        .map(({ offsets, carriers }) => {
          const parts = cut(bytes, offsets);
          // The fds of a message may come in several parts of it, in order.
          const slots = carriers.map((slot) => slot % parts.length).sort((a, b) => a - b);
          const sent = parts.map((part, i) => ({ bytes: part, fds: raw.fds.filter((_, k) => slots[k] === i) }));
          return { raw, sent };
        });
    });

  it('is cut into its messages, each with its own fds', () => {
    fc.assert(
      fc.property(fc.array(message, { maxLength: 6 }), (messages) => {
        expect(readAll(messages.flatMap(({ sent }) => sent))).toEqual(messages.map(({ raw }) => raw));
      }),
      { numRuns: 500 },
    );
  });

  it('of random bytes fails with nothing but a WireError, and loses no fd', () => {
    const piece = fc.record({
      bytes: fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
      fds: fc.array(fc.nat(1000), { maxLength: 3 }),
    });
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        const reader = new StreamReader();
        const socket = new FakeSocket(pieces);
        const pushed: number[] = [];
        const handedOut: number[] = [];
        try {
          for (let chunk = socket.receive(reader.want); chunk; chunk = socket.receive(reader.want)) {
            pushed.push(...chunk.fds);
            handedOut.push(...(reader.push(chunk.bytes, chunk.fds)?.fds ?? []));
          }
        } catch (error) {
          expect(error).toBeInstanceOf(WireError);
        }
        expect([...handedOut, ...reader.pending.fds]).toEqual(pushed);
      }),
      { numRuns: 500 },
    );
  });
});

describe('a broken stream', () => {
  const header = (flags: number, size: number) => {
    const bytes = Buffer.alloc(HEADER_SIZE);
    bytes.writeUInt32LE(1, 0);
    bytes.writeUInt32LE(flags, 4);
    bytes.writeUInt32LE(size, 8);
    return bytes;
  };

  it.each<[string, Buffer, string]>([
    ['version 0', header(0, 0), 'ERR_WIRE_VERSION'],
    ['version 3', header(3, 0), 'ERR_WIRE_VERSION'],
    ['a payload of 4 GiB', header(1, 0xffffffff), 'ERR_WIRE_OVERSIZE'],
    ['a payload just too long', header(1, MAX_PAYLOAD + 1), 'ERR_WIRE_OVERSIZE'],
    ['two messages in one read', Buffer.concat([setOwner, setOwner]), 'ERR_WIRE_OVERRUN'],
  ])('%s is refused, once and for all, and its fds stay pending', (_, bytes, code) => {
    const reader = new StreamReader();
    const error = errorOf(() => reader.push(bytes, [7]));
    expect(error.code).toBe(code);
    expect(error.hint).not.toBe('');
    expect(reader.want).toBe(0);
    expect(errorOf(() => reader.push(setOwner, [8]))).toBe(error);
    expect(reader.pending.fds).toEqual([7, 8]);
  });

  it('takes payloads up to maxPayload', () => {
    expect(new StreamReader().push(header(1, MAX_PAYLOAD), [])).toBeUndefined();
    expect(new StreamReader({ maxPayload: 8 }).push(header(1, 8), [])).toBeUndefined();
    expect(errorOf(() => new StreamReader({ maxPayload: 8 }).push(header(1, 9), [])).code).toBe('ERR_WIRE_OVERSIZE');
  });

  it('is not confused by an empty read', () => {
    const reader = new StreamReader();
    expect(reader.push(Buffer.alloc(0), [])).toBeUndefined();
    expect(reader.push(setOwner, [])?.request).toBe(3);
  });

  it('hands out payloads that later messages do not overwrite', () => {
    const reader = new StreamReader();
    const push = (fill: number) => {
      const bytes = encodeMessage({ request: 2, flags: VERSION, payload: Buffer.alloc(8, fill) });
      reader.push(bytes.subarray(0, HEADER_SIZE), []);
      return reader.push(bytes.subarray(HEADER_SIZE), [])!;
    };
    const first = push(1);
    push(2);
    expect(first.payload).toEqual(Buffer.alloc(8, 1));
  });
});
