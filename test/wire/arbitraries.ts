import fc from 'fast-check';
import { MAX_REGIONS, type Payload, type PayloadKind, type Region } from '../../src/wire/index.js';

const u8 = fc.integer({ min: 0, max: 0xff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const vringFd = fc.record({ index: u8, noFd: fc.boolean() });
const buffer = (maxLength: number, minLength = 0) =>
  fc.uint8Array({ minLength, maxLength }).map((bytes) => Buffer.from(bytes));

const region: fc.Arbitrary<Region> = fc.record({ guestAddr: u64, size: u64, userAddr: u64, mmapOffset: u64 });

type OfKind<K extends PayloadKind> = Extract<Payload, { kind: K }>;

/** Any payload, by kind: the compiler asks for a line here when a layout is added. */
const byKind: { [K in PayloadKind]: fc.Arbitrary<Omit<OfKind<K>, 'kind'>> } = {
  none: fc.constant({}),
  u64: fc.record({ value: u64 }),
  'vring-state': fc.record({ index: u32, num: u32 }),
  'vring-fd': vringFd,
  'vring-addr': fc.record({
    index: u32,
    flags: u32,
    descUserAddr: u64,
    usedUserAddr: u64,
    availUserAddr: u64,
    logGuestAddr: u64,
  }),
  memory: fc.record({ regions: fc.array(region, { maxLength: MAX_REGIONS }) }),
  'memory-region': fc.record({ region }),
  log: fc.record({ size: u64, offset: u64 }),
  iotlb: fc.record({ iova: u64, size: u64, userAddr: u64, permissions: u8, type: u8 }),
  config: fc.record({ offset: u32, flags: u32, data: buffer(64) }),
  'vring-area': fc.record({ vring: vringFd, size: u64, offset: u64 }),
  inflight: fc.record({ mmapSize: u64, mmapOffset: u64, numQueues: u16, queueSize: u16 }),
  'shared-object': fc.record({ uuid: buffer(16, 16) }),
  'device-state': fc.record({ direction: u32, phase: u32 }),
  mmap: fc.record({ shmid: u8, fdOffset: u64, shmOffset: u64, length: u64, flags: u64 }),
  'shmem-config': fc.record({ numRegions: u32, sizes: fc.array(u64, { maxLength: 256 }) }),
  opaque: fc.record({ bytes: buffer(64) }),
};

/** Names of all layouts. */
export const kinds = Object.keys(byKind) as PayloadKind[];

/** Any payload of one kind. */
export function payloadOf(kind: PayloadKind): fc.Arbitrary<Payload> {
  return (byKind[kind] as fc.Arbitrary<object>).map((value) => ({ ...value, kind }) as Payload);
}

/** Any bytes, as a payload may have. */
export const anyBytes = buffer(400);
