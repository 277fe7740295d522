import { WireError } from './error.js';

/** A JSON value without null: what decoded payloads become in a timeline. */
export type JsonValue = boolean | number | string | JsonValue[] | JsonObject;

/** A JSON object. */
export interface JsonObject {
  [key: string]: JsonValue;
}

/**
 * How a value of fixed size lies in memory. Little-endian: the spec says "machine native byte order", and Node runs
 * beside QEMU on x86-64 and arm64.
 */
export interface Codec<T, J extends JsonValue = JsonValue> {
  /** Bytes. */
  readonly size: number;
  /** Reads at an offset that the caller has checked. */
  read(bytes: Buffer, at: number): T;
  /** Writes at an offset that the caller has checked. @throws WireError ERR_WIRE_RANGE */
  write(bytes: Buffer, at: number, value: T): void;
  /** The JSON form; 64-bit values are hex strings. */
  json(value: T): J;
}

/** A 64-bit value as JSON: `0x` and lower-case digits, because JSON numbers lose bits above 2^53. */
export function hex(value: bigint): `0x${string}` {
  return `0x${value.toString(16)}`;
}

function outOfRange(value: number | bigint, bits: number): WireError {
  return new WireError('ERR_WIRE_RANGE', `${value} is no unsigned ${bits}-bit integer`, 'check who built this payload');
}

function uint(size: 1 | 2 | 4): Codec<number, number> {
  return {
    size,
    read: (bytes, at) => bytes.readUIntLE(at, size),
    write(bytes, at, value) {
      if (!Number.isInteger(value) || value < 0 || value >= 2 ** (8 * size)) throw outOfRange(value, 8 * size);
      bytes.writeUIntLE(value, at, size);
    },
    json: (value) => value,
  };
}

export const u8 = uint(1);
export const u16 = uint(2);
export const u32 = uint(4);

export const u64: Codec<bigint, string> = {
  size: 8,
  read: (bytes, at) => bytes.readBigUInt64LE(at),
  write(bytes, at, value) {
    if (BigInt.asUintN(64, value) !== value) throw outOfRange(value, 64);
    bytes.writeBigUInt64LE(value, at);
  },
  json: hex,
};

/** `size` bytes that have no inner structure here; JSON is their hex dump. */
export function blob(size: number): Codec<Buffer, string> {
  return {
    size,
    read: (bytes, at) => Buffer.from(bytes.subarray(at, at + size)),
    write(bytes, at, value) {
      if (value.length !== size)
        throw new WireError(
          'ERR_WIRE_RANGE',
          `${value.length} bytes for a field of ${size}`,
          'check who built this payload',
        );
      value.copy(bytes, at);
    },
    json: (value) => value.toString('hex'),
  };
}

/** A member of a struct: its offset in bytes, its codec, and its name in JSON where that differs. */
export interface Field<T> {
  at: number;
  codec: Codec<T>;
  jsonName: string | undefined;
}

/** A member at an offset. */
export function at<T>(offset: number, codec: Codec<T>, jsonName?: string): Field<T> {
  return { at: offset, codec, jsonName };
}

type ValuesOf<F> = { [K in keyof F]: F[K] extends Field<infer T> ? T : never };

/**
 * A C struct: `size` is its sizeof with padding, and bytes that no member covers are padding: written as zero and
 * not looked at, because QEMU does not clear the padding of every struct.
 */
export function struct<F extends Record<string, Field<unknown>>>(
  size: number,
  fields: F,
): Codec<ValuesOf<F>, JsonObject> {
  const members = Object.entries(fields);
  return {
    size,
    read: (bytes, offset) =>
      Object.fromEntries(members.map(([key, f]) => [key, f.codec.read(bytes, offset + f.at)])) as ValuesOf<F>,
    write(bytes, offset, value) {
      for (const [key, f] of members) f.codec.write(bytes, offset + f.at, value[key]);
    },
    json: (value) => Object.fromEntries(members.map(([key, f]) => [f.jsonName ?? key, f.codec.json(value[key])])),
  };
}
