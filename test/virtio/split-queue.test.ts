import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Chain, DESC_F_NEXT, DESC_F_WRITE, needsKick, VirtioError, wrap16 } from '../../src/virtio/index.js';
import { GuestRing } from './guest-ring.js';

const sizes = fc.constantFrom(1, 2, 4, 8, 32);
const starts = fc.oneof(fc.constantFrom(0, 65535, 65530), fc.nat(65535));

type Op = { op: 'add'; n: number } | { op: 'pop'; n: number } | { op: 'push'; n: number } | { op: 'rearm' };
const ops = fc.array(
  fc.oneof(
    fc.record({
      op: fc.constantFrom('add' as const, 'pop' as const, 'push' as const),
      n: fc.integer({ min: 1, max: 20 }),
    }),
    fc.record({ op: fc.constant('rearm' as const) }),
  ),
  { maxLength: 120 },
);

describe('SplitQueue against a reference model', () => {
  it('any sequence of adds, pops and pushes: nothing lost, doubled or reordered, no event lost', () => {
    fc.assert(
      fc.property(sizes, starts, fc.boolean(), ops, (size, start, eventIdx, list: Op[]) => {
        const ring = new GuestRing(size, start);
        const queue = ring.queue({ eventIdx });
        const free = Array.from({ length: size }, (_, i) => i);
        const available: number[] = [];
        const popped: Chain[] = [];
        const owed: number[] = [];
        /** The driver sleeps until an interrupt; then it takes all and re-arms. */
        let interrupted = false;
        let armedAndIdle = queue.enableNotify();
        let kicked = false;
        const drain = () => {
          for (const { head, written } of ring.takeUsed()) {
            expect(head).toBe(owed.shift());
            expect(written).toBe(head + 1);
            free.push(head);
          }
        };
        for (const step of list) {
          if (step.op === 'add') {
            const heads = free.splice(0, step.n);
            const old = ring.availIdx;
            for (const head of heads) ring.describe(head, { addr: 0n, length: head, flags: 0, next: 0 });
            ring.add(...heads);
            available.push(...heads);
            const device = eventIdx ? { availEvent: ring.availEvent } : { usedFlags: ring.get16(ring.layout.used) };
            if (needsKick(device, ring.availIdx, old)) kicked = true;
            if (armedAndIdle && heads.length > 0) expect(kicked).toBe(true);
          } else if (step.op === 'pop') {
            for (let i = 0; i < step.n; i++) {
              const chain = queue.pop();
              expect(chain?.head).toBe(available.shift());
              if (!chain) break;
              expect(chain.out).toEqual([{ addr: 0n, length: chain.head }]);
              popped.push(chain);
            }
            expect(queue.base).toBe(wrap16(ring.availIdx - available.length));
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
            ring.armUsedEvent();
          }
        }
        expect(queue.availIdx()).toBe(ring.availIdx);
        drain();
        expect(queue.usedIdx()).toBe(ring.usedSeen);
        expect(owed).toEqual([]);
      }),
    );
  });

  it('whatever the driver writes: a chain within bounds or a VirtioError, never a hang', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(2, 8),
        fc.boolean(),
        fc.uint8Array({ minLength: 2048, maxLength: 2048 }),
        (size, indirect, noise) => {
          const ring = new GuestRing(size, 0, 2048);
          // Small numbers are likelier than random bytes to look like valid tables.
          ring.memory.bytes.set(noise.map((byte, i) => (i % 16 > 2 && i % 16 < 12 ? 0 : byte % 16)));
          const queue = ring.queue({ indirect, base: 0 });
          try {
            for (const chain of queue.popAll()) expect(chain.in.length + chain.out.length).toBeLessThanOrEqual(size);
          } catch (error) {
            if (!(error instanceof RangeError)) expect(error).toBeInstanceOf(VirtioError);
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('SplitQueue', () => {
  const code = (run: () => unknown) => {
    try {
      run();
    } catch (error) {
      if (error instanceof VirtioError) return error.code;
      throw error;
    }
    return undefined;
  };

  it('reads rings in few calls: index, slice, table, whatever the number of chains', () => {
    const ring = new GuestRing(64);
    const queue = ring.queue();
    ring.add(...Array.from({ length: 64 }, (_, i) => i));
    ring.memory.reads = 0;
    expect(queue.popAll()).toHaveLength(64);
    expect(ring.memory.reads).toBeLessThanOrEqual(4);
  });

  it('gathers and scatters over several descriptors, empty ones included', () => {
    const ring = new GuestRing(8);
    const at = ring.spare;
    ring.describe(
      2,
      { addr: at, length: 3, flags: DESC_F_NEXT, next: 3 },
      { addr: at + 3n, length: 0, flags: DESC_F_NEXT, next: 4 },
      { addr: at + 3n, length: 2, flags: DESC_F_NEXT, next: 5 },
      { addr: at + 8n, length: 1, flags: DESC_F_NEXT | DESC_F_WRITE, next: 6 },
      { addr: at + 9n, length: 9, flags: DESC_F_WRITE, next: 0 },
    );
    ring.memory.write(at, Buffer.from('hello'));
    const queue = ring.queue();
    ring.add(2);
    const chain = queue.pop()!;
    expect(queue.readOut(chain).toString()).toBe('hello');
    expect(queue.writeIn(chain, Buffer.from('world'))).toBe(5);
    expect(ring.memory.read(at + 8n, 6).toString()).toBe('world\0');
    expect(code(() => queue.writeIn(chain, Buffer.alloc(11)))).toBe('ERR_CHAIN_BYTES');
  });

  it('follows an indirect table', () => {
    const ring = new GuestRing(4);
    ring.describe(1, { addr: ring.spare, length: 32, flags: 4, next: 0 });
    ring.memory.write(ring.spare, Buffer.concat([descriptor(1n, 10, 1, 1), descriptor(2n, 20, 2, 0)]));
    const queue = ring.queue();
    ring.add(1);
    expect(queue.pop()).toEqual({ head: 1, slots: 1, out: [{ addr: 1n, length: 10 }], in: [{ addr: 2n, length: 20 }] });
  });

  it.each([
    ['head beyond the table', 'ERR_DESCRIPTOR_RANGE', [descriptor(0n, 1, 0, 0)], 4],
    ['next beyond the table', 'ERR_DESCRIPTOR_RANGE', [descriptor(0n, 1, 1, 9)], 0],
    ['a loop', 'ERR_CHAIN_LENGTH', [descriptor(0n, 1, 1, 1), descriptor(0n, 1, 1, 0)], 0],
    ['readable after writable', 'ERR_CHAIN_ORDER', [descriptor(0n, 1, 3, 1), descriptor(0n, 1, 0, 0)], 0],
    ['indirect with NEXT', 'ERR_INDIRECT', [descriptor(0n, 16, 5, 1)], 0],
    ['an indirect table of half a descriptor', 'ERR_INDIRECT', [descriptor(0n, 24, 4, 0)], 0],
    ['an empty indirect table', 'ERR_INDIRECT', [descriptor(0n, 0, 4, 0)], 0],
    ['an indirect table longer than the queue', 'ERR_INDIRECT', [descriptor(0n, 80, 4, 0)], 0],
    ['an indirect table in an indirect table', 'ERR_INDIRECT', [descriptor(0n, 16, 4, 0)], 0],
  ])('refuses %s, again and again', (_what, expected, descriptors, head) => {
    const ring = new GuestRing(4);
    ring.memory.write(0n, Buffer.concat(descriptors));
    const queue = ring.queue();
    ring.add(head);
    expect(code(() => queue.pop())).toBe(expected);
    expect(code(() => queue.pop())).toBe(expected);
    expect(queue.base).toBe(0);
  });

  it('refuses an indirect descriptor that was not negotiated', () => {
    const ring = new GuestRing(4);
    ring.describe(0, { addr: ring.spare, length: 16, flags: 4, next: 0 });
    const queue = ring.queue({ indirect: false });
    ring.add(0);
    expect(code(() => queue.pop())).toBe('ERR_INDIRECT');
  });

  it('refuses an available index that overran the ring', () => {
    const ring = new GuestRing(4);
    const queue = ring.queue();
    ring.add(0, 1, 2, 3, 0);
    expect(code(() => queue.pop())).toBe('ERR_AVAIL_JUMP');
  });

  it('refuses bad sizes and alignments', () => {
    const ring = new GuestRing(4);
    for (const size of [0, 3, 65536]) expect(code(() => ring.queue({ size }))).toBe('ERR_RING_SIZE');
    expect(code(() => ring.queue({ desc: 8n }))).toBe('ERR_RING_ALIGNMENT');
    expect(code(() => ring.queue({ used: 2n }))).toBe('ERR_RING_ALIGNMENT');
  });

  it('refuses to gather more than a frame', () => {
    const ring = new GuestRing(2);
    ring.describe(0, { addr: 0n, length: 0xffffffff, flags: 0, next: 0 });
    const queue = ring.queue();
    ring.add(0);
    expect(code(() => queue.readOut(queue.pop()!))).toBe('ERR_CHAIN_BYTES');
  });

  it('honours NO_INTERRUPT and clears NO_NOTIFY without event-idx', () => {
    const ring = new GuestRing(4);
    const queue = ring.queue();
    ring.memory.bytes[ring.layout.used] = 1;
    expect(queue.usedFlags()).toBe(1);
    expect(needsKick({ usedFlags: queue.usedFlags() }, 1, 0)).toBe(false);
    expect(queue.enableNotify()).toBe(true);
    expect(queue.usedFlags()).toBe(0);
    expect(queue.needsCall()).toBe(true);
    ring.availFlags = 1;
    expect(queue.needsCall()).toBe(false);
  });
});

function descriptor(addr: bigint, length: number, flags: number, next: number): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeBigUInt64LE(addr);
  bytes.writeUInt32LE(length, 8);
  bytes.writeUInt16LE(flags, 12);
  bytes.writeUInt16LE(next, 14);
  return bytes;
}
