import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Chain, PACKED_FRESH_BASE, VirtioError } from '../../src/virtio/index.js';
import { DESC, DISABLE, ENABLE, INDIRECT, NEXT, PackedGuestRing, type Piece, WRITE } from './packed-guest-ring.js';

const sizes = fc.constantFrom(1, 2, 4, 8, 32);

type Op =
  | { op: 'add'; n: number; pieces: number }
  | { op: 'pop'; n: number }
  | { op: 'push'; n: number }
  | { op: 'rearm' };
const count = fc.integer({ min: 1, max: 20 });
const ops = fc.array(
  fc.oneof(
    fc.record({ op: fc.constant('add' as const), n: count, pieces: fc.integer({ min: 1, max: 3 }) }),
    fc.record({ op: fc.constantFrom('pop' as const, 'push' as const), n: count }),
    fc.record({ op: fc.constant('rearm' as const) }),
  ),
  { maxLength: 120 },
);

/** Whether a driver that published from one place to another has to kick, as plain as 2.8.10 says it. */
function kickDue(ring: PackedGuestRing, from: { index: number; wrap: boolean }, eventIdx: boolean): boolean {
  const { flags, index, wrap } = ring.deviceEvent;
  if (flags === DISABLE) return false;
  if (flags === ENABLE || !eventIdx) return true;
  for (let at = { ...from }; at.index !== ring.avail.index || at.wrap !== ring.avail.wrap; ) {
    if (at.index === index && at.wrap === wrap) return true;
    at = at.index + 1 === ring.size ? { index: 0, wrap: !at.wrap } : { ...at, index: at.index + 1 };
  }
  return false;
}

describe('PackedQueue against a reference model', () => {
  it('any sequence of adds, pops and pushes: nothing lost, doubled or reordered, no event lost', () => {
    fc.assert(
      fc.property(sizes, fc.nat(), fc.boolean(), fc.boolean(), ops, (size, at, wrap, eventIdx, list: Op[]) => {
        const ring = new PackedGuestRing(size, { index: at % size, wrap });
        const queue = ring.queue({ eventIdx });
        const ids = Array.from({ length: size }, (_, i) => i);
        const available: number[] = [];
        const popped: Chain[] = [];
        const owed: number[] = [];
        /** The driver sleeps until an interrupt; then it takes all and re-arms. */
        let interrupted = false;
        ring.driverEvent(ENABLE);
        let armedAndIdle = queue.enableNotify();
        let kicked = false;
        const drain = () => {
          for (const { id, written } of ring.takeUsed()) {
            expect(id).toBe(owed.shift());
            expect(written).toBe(id + 1);
            ids.push(id);
          }
        };
        for (const step of list) {
          if (step.op === 'add') {
            const from = { ...ring.avail };
            for (let i = 0; i < step.n && ids.length > 0 && ring.room >= step.pieces; i++) {
              const id = ids.shift()!;
              const pieces = Array.from({ length: step.pieces }, (_, k) => ({ addr: BigInt(id), length: k, flags: 0 }));
              ring.add(id, pieces);
              available.push(id);
              if (kickDue(ring, from, eventIdx)) kicked = true;
              if (armedAndIdle) expect(kicked).toBe(true);
            }
          } else if (step.op === 'pop') {
            for (let i = 0; i < step.n; i++) {
              const chain = queue.pop();
              const id = available.shift();
              expect(chain?.head).toBe(id);
              if (!chain) break;
              expect(chain.slots).toBe(ring.outstanding.get(chain.head));
              expect(chain.out).toEqual(
                Array.from({ length: chain.slots }, (_, k) => ({ addr: BigInt(chain.head), length: k })),
              );
              popped.push(chain);
            }
            armedAndIdle = queue.enableNotify();
            expect(armedAndIdle).toBe(available.length === 0);
            kicked = false;
          } else if (step.op === 'push') {
            const batch = popped.splice(0, step.n);
            for (const chain of batch) queue.push(chain, chain.head + 1);
            queue.publish();
            owed.push(...batch.map(({ head }) => head));
            if (batch.length > 0 && queue.needsCall()) interrupted = true;
            if (owed.length > 0 && !interrupted) throw new Error('the driver sleeps on used chains');
          } else if (interrupted) {
            interrupted = false;
            drain();
            if (eventIdx) ring.armEvent();
          }
        }
        drain();
        expect(owed).toEqual([]);
        // Once all is taken and handed back, both sides are at the same place.
        for (const chain of [...popped, ...queue.popAll()]) queue.push(chain, chain.head + 1);
        owed.push(...popped.map(({ head }) => head), ...available);
        queue.publish();
        drain();
        expect(queue.base).toBe(ring.base);
        expect(ring.used).toEqual(ring.avail);
      }),
      { numRuns: 300 },
    );
  });

  it('goes on in another queue from the base that the first one tells', () => {
    fc.assert(
      fc.property(sizes, fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 100 }), (size, bursts) => {
        const ring = new PackedGuestRing(size);
        let base = PACKED_FRESH_BASE;
        for (const [i, burst] of bursts.entries()) {
          const queue = ring.queue({ base });
          for (let id = 0; id < burst && ring.room > 0; id++) ring.add(id, [{ addr: 0n, length: i, flags: 0 }]);
          for (const chain of queue.popAll()) {
            expect(chain.out[0]!.length).toBe(i);
            queue.push(chain, 0);
          }
          queue.publish();
          ring.takeUsed();
          base = queue.base;
          expect(base).toBe(ring.base);
        }
      }),
    );
  });

  it('whatever the driver writes: a chain within bounds or a VirtioError, an unmoved queue, never a hang', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(2, 8),
        fc.boolean(),
        fc.boolean(),
        fc.uint8Array({ minLength: 2048, maxLength: 2048 }),
        (size, indirect, wrap, noise) => {
          const ring = new PackedGuestRing(size, { index: 0, wrap }, 2048);
          // Small numbers are likelier than random bytes to look like valid tables; flags keep their high bits.
          ring.memory.bytes.set(
            noise.map((byte, i) => (i % 16 > 2 && i % 16 < 12 ? 0 : i % 16 < 14 ? byte % 16 : byte & 0x87)),
          );
          const queue = ring.queue({ indirect });
          let { base } = queue;
          try {
            for (let chain = queue.pop(); chain; chain = queue.pop()) {
              expect(chain.in.length + chain.out.length).toBeLessThanOrEqual(size);
              expect(chain.slots).toBeGreaterThan(0);
              expect(chain.slots).toBeLessThanOrEqual(size);
              base = queue.base;
            }
          } catch (error) {
            if (!(error instanceof RangeError)) expect(error).toBeInstanceOf(VirtioError);
            expect(queue.base).toBe(base);
          }
        },
      ),
      { numRuns: 1000 },
    );
  });
});

describe('PackedQueue', () => {
  const code = (run: () => unknown) => {
    try {
      run();
    } catch (error) {
      if (error instanceof VirtioError) return error.code;
      throw error;
    }
    return undefined;
  };
  const out = (length: number): Piece => ({ addr: 0n, length, flags: 0 });

  it('reads and writes rings in few calls, whatever the number of chains', () => {
    const ring = new PackedGuestRing(64, { index: 40, wrap: false });
    const queue = ring.queue();
    for (let id = 0; id < 64; id++) ring.add(id, [out(1)]);
    ring.memory.reads = 0;
    const chains = queue.popAll();
    expect(chains).toHaveLength(64);
    expect(ring.memory.reads).toBeLessThanOrEqual(4);
    let writes = 0;
    const write = ring.memory.write.bind(ring.memory);
    ring.memory.write = (addr, bytes) => {
      writes++;
      write(addr, bytes);
    };
    for (const chain of chains) queue.push(chain, 0);
    queue.publish();
    expect(writes).toBeLessThanOrEqual(4);
    expect(ring.takeUsed()).toHaveLength(64);
  });

  it('shows the driver nothing of a batch before all of it is written', () => {
    const ring = new PackedGuestRing(8);
    const queue = ring.queue();
    for (let id = 0; id < 5; id++) ring.add(id, [out(1)]);
    for (const chain of queue.popAll()) queue.push(chain, 7);
    const seen: number[] = [];
    const write = ring.memory.write.bind(ring.memory);
    ring.memory.write = (addr, bytes) => {
      write(addr, bytes);
      seen.push(ring.takeUsed().length);
    };
    queue.publish();
    expect(seen.at(-1)).toBe(5);
    expect(seen.slice(0, -1).every((n) => n === 0)).toBe(true);
  });

  it('gathers and scatters over several descriptors, empty ones included, across the end of the ring', () => {
    const ring = new PackedGuestRing(8, { index: 6, wrap: true });
    const at = ring.spare;
    ring.memory.write(at, Buffer.from('hello'));
    const queue = ring.queue();
    ring.add(3, [
      { addr: at, length: 3, flags: 0 },
      { addr: at + 3n, length: 0, flags: 0 },
      { addr: at + 3n, length: 2, flags: 0 },
      { addr: at + 8n, length: 1, flags: WRITE },
      { addr: at + 9n, length: 9, flags: WRITE },
    ]);
    const chain = queue.pop()!;
    expect(chain).toMatchObject({ head: 3, slots: 5 });
    expect(queue.readOut(chain).toString()).toBe('hello');
    expect(queue.writeIn(chain, Buffer.from('world'))).toBe(5);
    expect(ring.memory.read(at + 8n, 6).toString()).toBe('world\0');
    expect(code(() => queue.writeIn(chain, Buffer.alloc(11)))).toBe('ERR_CHAIN_BYTES');
    queue.push(chain, 5);
    queue.publish();
    expect(ring.takeUsed()).toEqual([{ id: 3, written: 5 }]);
    expect(queue.base).toBe(0x00030003);
  });

  it('follows an indirect table, every entry of it', () => {
    const ring = new PackedGuestRing(4);
    const table = Buffer.concat([descriptor(1n, 10, 9, 0), descriptor(2n, 20, 9, WRITE)]);
    ring.memory.write(ring.spare, table);
    const queue = ring.queue();
    ring.add(7, [{ addr: ring.spare, length: table.length, flags: INDIRECT }]);
    expect(queue.pop()).toEqual({
      head: 7,
      slots: 1,
      out: [{ addr: 1n, length: 10 }],
      in: [{ addr: 2n, length: 20 }],
    });
  });

  const AVAIL = 1 << 7;
  it.each([
    ['a chain round the whole ring', 'ERR_CHAIN_LENGTH', [0, 1, 2, 3].map(() => descriptor(0n, 1, 0, AVAIL | NEXT))],
    ['a chain into what is not available', 'ERR_DESCRIPTOR_STATE', [descriptor(0n, 1, 0, AVAIL | NEXT)]],
    [
      'readable after writable',
      'ERR_CHAIN_ORDER',
      [descriptor(0n, 1, 0, AVAIL | NEXT | WRITE), descriptor(0n, 1, 0, AVAIL)],
    ],
    ['indirect with NEXT', 'ERR_INDIRECT', [descriptor(64n, 16, 0, AVAIL | INDIRECT | NEXT)]],
    [
      'indirect at the end of a chain',
      'ERR_INDIRECT',
      [descriptor(0n, 1, 0, AVAIL | NEXT), descriptor(64n, 16, 0, AVAIL | INDIRECT)],
    ],
    ['an indirect table of half a descriptor', 'ERR_INDIRECT', [descriptor(0n, 24, 0, AVAIL | INDIRECT)]],
    ['an empty indirect table', 'ERR_INDIRECT', [descriptor(0n, 0, 0, AVAIL | INDIRECT)]],
    ['an indirect table longer than the queue', 'ERR_INDIRECT', [descriptor(0n, 80, 0, AVAIL | INDIRECT)]],
    ['an indirect table in an indirect table', 'ERR_INDIRECT', [descriptor(0n, 16, 0, AVAIL | INDIRECT)]],
  ])('refuses %s, again and again', (_what, expected, descriptors) => {
    const ring = new PackedGuestRing(4);
    ring.memory.write(0n, Buffer.concat(descriptors));
    const queue = ring.queue();
    expect(code(() => queue.pop())).toBe(expected);
    expect(code(() => queue.pop())).toBe(expected);
    expect(queue.base).toBe(PACKED_FRESH_BASE);
  });

  it('refuses an indirect descriptor that was not negotiated', () => {
    const ring = new PackedGuestRing(4);
    ring.add(0, [{ addr: ring.spare, length: 16, flags: INDIRECT }]);
    expect(code(() => ring.queue({ indirect: false, base: PACKED_FRESH_BASE }).pop())).toBe('ERR_INDIRECT');
  });

  it('refuses bad sizes, alignments and bases', () => {
    const ring = new PackedGuestRing(4);
    for (const size of [0, 3, 65536]) expect(code(() => ring.queue({ size }))).toBe('ERR_RING_SIZE');
    for (const part of ['desc', 'avail', 'used'] as const)
      expect(code(() => ring.queue({ [part]: 2n }))).toBe('ERR_RING_ALIGNMENT');
    for (const base of [4, 0x8004, 0x80008007]) expect(code(() => ring.queue({ base }))).toBe('ERR_RING_BASE');
  });

  it('goes by the available half of a base alone', () => {
    const ring = new PackedGuestRing(8, { index: 5, wrap: false });
    expect(ring.queue({ base: 5 }).base).toBe(0x00050005);
    expect(ring.queue({ base: 0x87ff0005 }).base).toBe(0x00050005);
  });

  it('gives back what it took and did not push', () => {
    const ring = new PackedGuestRing(4, { index: 3, wrap: true });
    const queue = ring.queue();
    for (let id = 0; id < 3; id++) ring.add(id, [out(id)]);
    queue.push(queue.pop()!, 0);
    const { base } = queue;
    expect(queue.popAll().map(({ head }) => head)).toEqual([1, 2]);
    queue.rewind(base);
    expect(queue.popAll().map(({ head }) => head)).toEqual([1, 2]);
  });

  it('says what memory has of the place it is at', () => {
    const ring = new PackedGuestRing(4);
    const queue = ring.queue();
    expect(queue.state()).toEqual({ available: false, eventFlags: ENABLE });
    ring.add(0, [out(1)]);
    ring.memory.bytes[ring.events + 6] = DISABLE;
    expect(queue.state()).toEqual({ available: true, eventFlags: DISABLE });
    queue.popAll();
    expect(queue.enableNotify()).toBe(true);
    expect(queue.state()).toEqual({ available: false, eventFlags: ENABLE });
    expect(ring.queue({ eventIdx: true, base: queue.base }).enableNotify()).toBe(true);
    expect(ring.deviceEvent).toEqual({ index: 1, wrap: true, flags: DESC });
  });

  it('interrupts nobody who does not want it', () => {
    const ring = new PackedGuestRing(4);
    const queue = ring.queue({ eventIdx: true });
    const use = () => {
      ring.add(0, [out(1)]);
      queue.push(queue.pop()!, 0);
      queue.publish();
      ring.takeUsed();
      return queue.needsCall();
    };
    ring.driverEvent(DISABLE);
    expect(use()).toBe(false);
    ring.driverEvent(ENABLE);
    expect(use()).toBe(true);
    ring.armEvent();
    expect([use(), use()]).toEqual([true, false]);
  });
});

function descriptor(addr: bigint, length: number, id: number, flags: number): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeBigUInt64LE(addr);
  bytes.writeUInt32LE(length, 8);
  bytes.writeUInt16LE(id, 12);
  bytes.writeUInt16LE(flags, 14);
  return bytes;
}
