import { at, blob, type Codec, hex, type JsonObject, struct, u8, u16, u32, u64 } from './codec.js';
import { WireError } from './error.js';

/** How a whole payload lies in memory (spec section "Payload"). */
export interface Layout<T> {
  /** Whether a payload of this many bytes can have this layout. */
  takes(length: number): boolean;
  /** Decodes a whole payload; `what` names it in errors. @throws WireError */
  decode(bytes: Buffer, what: string): T;
  /** @throws WireError ERR_WIRE_RANGE */
  encode(value: T): Buffer;
  /** The JSON form. */
  json(value: T): JsonObject;
}

/** Regions that SET_MEM_TABLE can hold: region0 to region7 (QEMU: VHOST_MEMORY_BASELINE_NREGIONS). */
export const MAX_REGIONS = 8;

/** Shared memory regions of a device: one for each 8-bit shmid (QEMU: VIRTIO_MAX_SHMEM_REGIONS). */
const MAX_SHMEM_REGIONS = 256;

function exactly(bytes: Buffer, size: number, what: string): void {
  if (bytes.length === size) return;
  const message = `${what}: ${bytes.length} bytes of payload, expected ${size}`;
  if (bytes.length < size)
    throw new WireError('ERR_WIRE_SHORT', message, 'the sender cut the payload, or lies in a count');
  throw new WireError('ERR_WIRE_TRAILING', message, 'a newer layout of this message, or a lie in a count');
}

function atLeast(bytes: Buffer, size: number, what: string): void {
  if (bytes.length < size)
    throw new WireError(
      'ERR_WIRE_SHORT',
      `${what}: ${bytes.length} bytes of payload, expected at least ${size}`,
      'the sender cut the payload',
    );
}

function atMost(count: number, limit: number, what: string): void {
  if (count > limit)
    throw new WireError(
      'ERR_WIRE_REGIONS',
      `${what}: ${count} regions, at most ${limit} fit`,
      'the spec sets the limit',
    );
}

function fixed<T>(codec: Codec<T, JsonObject>): Layout<T> {
  return {
    takes: (length) => length === codec.size,
    decode(bytes, what) {
      exactly(bytes, codec.size, what);
      return codec.read(bytes, 0);
    },
    encode(value) {
      const bytes = Buffer.alloc(codec.size);
      codec.write(bytes, 0, value);
      return bytes;
    },
    json: (value) => codec.json(value),
  };
}

/** "Memory region description", without the two members that VHOST_USER_PROTOCOL_F_XEN_MMAP adds: never negotiated. */
const region = struct(32, {
  guestAddr: at(0, u64),
  size: at(8, u64),
  userAddr: at(16, u64),
  mmapOffset: at(24, u64),
});

/** One region of guest memory: where the guest and QEMU see it, and where it starts in the file of its fd. */
export type Region = ReturnType<typeof region.read>;

/** The u64 of SET_VRING_KICK, CALL and ERR: bits 0-7 the ring, bit 8 "no fd comes with it". */
const vringFd: Codec<{ index: number; noFd: boolean }, JsonObject> = {
  size: 8,
  read(bytes, offset) {
    const value = u64.read(bytes, offset);
    if (value >> 9n !== 0n)
      throw new WireError('ERR_WIRE_RESERVED', `vring index ${hex(value)}`, 'only bits 0 to 8 have a meaning');
    return { index: Number(value & 0xffn), noFd: (value & 0x100n) !== 0n };
  },
  write(bytes, offset, { index, noFd }) {
    bytes.fill(0, offset, offset + 8);
    u8.write(bytes, offset, index);
    u8.write(bytes, offset + 1, noFd ? 1 : 0);
  },
  json: ({ index, noFd }) => ({ index, noFd }),
};

/** "Multiple Memory regions description": as many regions as it counts. */
const memory: Layout<{ regions: Region[] }> = {
  takes: (length) => length >= 8,
  decode(bytes, what) {
    atLeast(bytes, 8, what);
    const count = u32.read(bytes, 0);
    atMost(count, MAX_REGIONS, what);
    exactly(bytes, 8 + count * region.size, what);
    return { regions: Array.from({ length: count }, (_, i) => region.read(bytes, 8 + i * region.size)) };
  },
  encode({ regions }) {
    const bytes = Buffer.alloc(8 + regions.length * region.size);
    u32.write(bytes, 0, regions.length);
    regions.forEach((value, i) => {
      region.write(bytes, 8 + i * region.size, value);
    });
    return bytes;
  },
  json: ({ regions }) => ({ regions: regions.map((value) => region.json(value)) }),
};

const configHead = struct(12, { offset: at(0, u32), size: at(4, u32), flags: at(8, u32) });

/** "Virtio device config space": `data` is as long as its size field says. flags 1 = written for live migration. */
const config: Layout<{ offset: number; flags: number; data: Buffer }> = {
  takes: (length) => length >= configHead.size,
  decode(bytes, what) {
    atLeast(bytes, configHead.size, what);
    const { offset, size, flags } = configHead.read(bytes, 0);
    exactly(bytes, configHead.size + size, what);
    return { offset, flags, data: Buffer.from(bytes.subarray(configHead.size)) };
  },
  encode({ offset, flags, data }) {
    const bytes = Buffer.alloc(configHead.size + data.length);
    configHead.write(bytes, 0, { offset, size: data.length, flags });
    data.copy(bytes, configHead.size);
    return bytes;
  },
  json: ({ offset, flags, data }) => ({ offset, size: data.length, flags, data: data.toString('hex') }),
};

/** "VIRTIO Shared Memory Region configuration": sizes by shmid, of which `numRegions` are not 0. */
const shmemConfig: Layout<{ numRegions: number; sizes: bigint[] }> = {
  takes: (length) => length >= 8,
  decode(bytes, what) {
    atLeast(bytes, 8, what);
    const count = Math.floor((bytes.length - 8) / 8);
    atMost(count, MAX_SHMEM_REGIONS, what);
    exactly(bytes, 8 + count * 8, what);
    return {
      numRegions: u32.read(bytes, 0),
      sizes: Array.from({ length: count }, (_, i) => u64.read(bytes, 8 + i * 8)),
    };
  },
  encode({ numRegions, sizes }) {
    const bytes = Buffer.alloc(8 + sizes.length * 8);
    u32.write(bytes, 0, numRegions);
    sizes.forEach((size, i) => {
      u64.write(bytes, 8 + i * 8, size);
    });
    return bytes;
  },
  json: ({ numRegions, sizes }) => ({ numRegions, sizes: sizes.map(hex) }),
};

/** Bytes of a layout that the spec leaves to the implementation (QEMU: struct VhostUserCryptoSession). */
const opaque: Layout<{ bytes: Buffer }> = {
  takes: () => true,
  decode: (bytes) => ({ bytes: Buffer.from(bytes) }),
  encode: ({ bytes }) => Buffer.from(bytes),
  json: ({ bytes }) => ({ bytes: bytes.toString('hex') }),
};

/** Every payload layout by name. The names are the `kind`s of decoded payloads. */
export const layouts = {
  none: fixed(struct(0, {})),
  u64: fixed(struct(8, { value: at(0, u64) })),
  'vring-state': fixed(struct(8, { index: at(0, u32), num: at(4, u32) })),
  'vring-fd': fixed(vringFd),
  'vring-addr': fixed(
    struct(40, {
      index: at(0, u32),
      flags: at(4, u32),
      descUserAddr: at(8, u64, 'desc'),
      usedUserAddr: at(16, u64, 'used'),
      availUserAddr: at(24, u64, 'avail'),
      logGuestAddr: at(32, u64, 'log'),
    }),
  ),
  memory,
  'memory-region': fixed(struct(40, { region: at(8, region) })),
  log: fixed(struct(16, { size: at(0, u64), offset: at(8, u64) })),
  /** struct vhost_iotlb_msg of the kernel: 26 bytes of members, sizeof 32. */
  iotlb: fixed(
    struct(32, {
      iova: at(0, u64),
      size: at(8, u64),
      userAddr: at(16, u64),
      permissions: at(24, u8),
      type: at(25, u8),
    }),
  ),
  config,
  'vring-area': fixed(struct(24, { vring: at(0, vringFd), size: at(8, u64), offset: at(16, u64) })),
  /** 20 bytes of members; QEMU, libvhost-user and DPDK all send sizeof, 24. */
  inflight: fixed(
    struct(24, { mmapSize: at(0, u64), mmapOffset: at(8, u64), numQueues: at(16, u16), queueSize: at(18, u16) }),
  ),
  'shared-object': fixed(struct(16, { uuid: at(0, blob(16)) })),
  'device-state': fixed(struct(8, { direction: at(0, u32), phase: at(4, u32) })),
  mmap: fixed(
    struct(40, {
      shmid: at(0, u8),
      fdOffset: at(8, u64),
      shmOffset: at(16, u64),
      length: at(24, u64),
      flags: at(32, u64),
    }),
  ),
  'shmem-config': shmemConfig,
  opaque,
} as const;

/** The name of a payload layout. */
export type PayloadKind = keyof typeof layouts;

type ValueOf<K extends PayloadKind> = (typeof layouts)[K] extends Layout<infer T> ? T : never;

/** A decoded payload: the fields of its layout, and the layout's name as `kind`. */
export type Payload = { [K in PayloadKind]: { kind: K } & { [F in keyof ValueOf<K>]: ValueOf<K>[F] } }[PayloadKind];
