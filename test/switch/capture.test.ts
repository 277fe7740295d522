import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Capture, type CaptureOptions } from '../../src/switch/index.js';
import { bytes } from './lab.js';
import { arp, echo4 } from './questions.js';

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'capture-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

const startedAt = new Date('2024-02-03T04:05:06.789Z');
let files = 0;
function capture(options: Partial<CaptureOptions> = {}) {
  const file = join(directory, `${files++}.pcapng`);
  return { file, taken: new Capture({ file, port: 'net0', application: 'tester 1.0', startedAt, ...options }) };
}

interface Block {
  type: number;
  body: Buffer;
}

/** The whole blocks of a file, whose two lengths must be the same. */
function blocksOf(content: Buffer): Block[] {
  const blocks: Block[] = [];
  for (let at = 0; at + 12 <= content.length; ) {
    const length = content.readUInt32LE(at + 4);
    if (at + length > content.length) break;
    expect(length % 4).toBe(0);
    expect(content.readUInt32LE(at + length - 4)).toBe(length);
    blocks.push({ type: content.readUInt32LE(at), body: content.subarray(at + 8, at + length - 4) });
    at += length;
  }
  return blocks;
}

function optionsOf(tail: Buffer): [code: number, value: Buffer][] {
  const options: [number, Buffer][] = [];
  for (let at = 0; at < tail.length; ) {
    const [code, length] = [tail.readUInt16LE(at), tail.readUInt16LE(at + 2)];
    if (code === 0) {
      expect([length, at + 4]).toEqual([0, tail.length]);
      break;
    }
    options.push([code, tail.subarray(at + 4, at + 4 + length)]);
    at += 4 + ((length + 3) & ~3);
  }
  return options;
}

const timeOf = (high: number, low: number) => Number((BigInt(high) << 32n) | BigInt(low)) - 1000 * startedAt.getTime();

/** Packets: their frame, their time in µs since the start, and their options. */
function packetsOf(file: string) {
  return blocksOf(readFileSync(file))
    .filter(({ type }) => type === 6)
    .map(({ body }) => {
      expect(body.readUInt32LE(0)).toBe(0);
      const length = body.readUInt32LE(12);
      expect(body.readUInt32LE(16)).toBe(length);
      const options = optionsOf(body.subarray(20 + ((length + 3) & ~3)));
      const flags = options.find(([code]) => code === 2)?.[1].readUInt32LE();
      return {
        frame: body.subarray(20, 20 + length),
        us: timeOf(body.readUInt32LE(4), body.readUInt32LE(8)),
        direction: flags && { 1: 'inbound', 2: 'outbound' }[flags],
        comments: options.filter(([code]) => code === 1).map(([, value]) => value.toString()),
      };
    });
}

/** Frames that were offered, and those of them left out, as the last block has them. */
function statisticsOf(file: string) {
  const last = blocksOf(readFileSync(file)).at(-1)!;
  expect(last.type).toBe(5);
  const options = new Map(optionsOf(last.body.subarray(12)));
  const time = (code: number) => timeOf(options.get(code)!.readUInt32LE(), options.get(code)!.readUInt32LE(4));
  return {
    start: time(2),
    end: time(3),
    received: options.get(4)!.readBigUInt64LE(),
    dropped: options.get(5)!.readBigUInt64LE(),
  };
}

/** A file with a bit of everything. */
async function sample() {
  const { file, taken } = capture();
  taken.frame('inbound', arp.ask, 0);
  taken.note('the peer leaves', 1.5);
  taken.note('die Gegenseite kommt zurück', 2500);
  taken.frame('outbound', arp.answer, 2500.25);
  taken.frame('inbound', echo4.ask, 3000);
  taken.note('that was all', 4000);
  await taken.close();
  return { file, taken };
}

describe('capture', () => {
  it('begins as every pcapng file of Ethernet does', async () => {
    const { file, taken } = capture();
    await taken.close();
    const content = readFileSync(file);
    const head = bytes(
      '0a0d0d0a 30000000', // section header, length
      '4d3c2b1a 0100 0000', // byte order, version 1.0
      'ffffffffffffffff', // length not known
      `0400 0a00 ${Buffer.from('tester 1.0').toString('hex')} 0000`, // application, padding
      '0000 0000', // end of options
      '30000000',
      '01000000 28000000', // interface, length
      '0100 0000 00000000', // Ethernet, whole frames
      `0200 0400 ${Buffer.from('net0').toString('hex')}`, // name
      '0900 0100 06 000000', // microseconds
      '0000 0000',
      '28000000',
    );
    expect(content.subarray(0, head.length).toString('hex')).toBe(head.toString('hex'));
    expect(statisticsOf(file)).toEqual({ start: 0, end: 0, received: 0n, dropped: 0n });
  });

  it('comes back with times, directions and notes', async () => {
    const { file, taken } = await sample();
    expect(packetsOf(file)).toEqual([
      { frame: arp.ask, us: 0, direction: 'inbound', comments: [] },
      {
        frame: arp.answer,
        us: 2_500_250,
        direction: 'outbound',
        comments: ['0.002 s: the peer leaves', '2.500 s: die Gegenseite kommt zurück'],
      },
      { frame: echo4.ask, us: 3_000_000, direction: 'inbound', comments: [] },
      { frame: Buffer.alloc(0), us: 4_000_000, direction: undefined, comments: ['4.000 s: that was all'] },
    ]);
    expect(taken.counters).toEqual({ written: 3, leftOut: { limit: 0, pending: 0, failed: 0 } });
    expect(statisticsOf(file)).toEqual({ start: 0, end: 4_000_000, received: 3n, dropped: 0n });
  });

  it.skipIf(spawnSync('tcpdump', ['--version']).error)('is read by tcpdump, if that is installed', async () => {
    const { file } = await sample();
    const { stdout, stderr, status } = spawnSync('tcpdump', ['-nr', file, 'arp or icmp'], {
      encoding: 'utf8',
      env: { ...process.env, TZ: 'UTC' },
    });
    expect(stderr).toMatch(/link-type EN10MB/);
    expect(status).toBe(0);
    expect(stdout.trim().split('\n')).toEqual([
      expect.stringMatching(/^04:05:06\.789000 ARP, Request who-has 10\.73\.0\.1 tell 10\.73\.0\.100/),
      expect.stringMatching(/^04:05:09\.289250 ARP, Reply 10\.73\.0\.1 is-at 02:56:52:73:00:01/),
      expect.stringMatching(/^04:05:09\.789000 IP 10\.73\.0\.100 > 10\.73\.0\.1: ICMP echo request, id 48879, seq 7/),
    ]);
  });

  it('can be read up to its last whole block wherever it is cut off', async () => {
    const { file } = await sample();
    const content = readFileSync(file);
    const whole = blocksOf(content);
    fc.assert(
      fc.property(fc.nat(content.length), (length) => {
        const rest = blocksOf(content.subarray(0, length));
        expect(rest).toEqual(whole.slice(0, rest.length));
      }),
    );
  });

  it('gives many notes without a frame one of their own', async () => {
    const { file, taken } = capture();
    for (let i = 0; i < 20; i++) taken.note(`${i}`, i);
    taken.frame('inbound', arp.ask, 20);
    await taken.close();
    const packets = packetsOf(file);
    expect(packets.map(({ frame, comments }) => [frame.length, comments.length])).toEqual([
      [0, 16],
      [42, 4],
    ]);
    expect(packets.flatMap(({ comments }) => comments)).toHaveLength(20);
  });

  it('cuts a note that no option has room for', async () => {
    const { file, taken } = capture();
    taken.note('€'.repeat(100_000), 0);
    await taken.close();
    expect(packetsOf(file)[0]?.comments[0]).toHaveLength(4096);
  });

  it('is never longer than its limit, and says where it stops', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 400, max: 4000 }), fc.integer({ min: 0, max: 300 }), async (limit, size) => {
        const { file, taken } = capture({ limitBytes: limit });
        for (let i = 0; i < 100; i++) taken.frame('inbound', Buffer.alloc(size, i), i);
        taken.note('too late', 100);
        await taken.close();
        expect(statSync(file).size).toBeLessThanOrEqual(limit);
        const { written, leftOut } = taken.counters;
        expect(leftOut).toEqual({ limit: 100 - written, pending: 0, failed: 0 });
        if (written === 100) return;
        // Nothing is left out that has room.
        const { length } = packetsOf(file);
        expect(length).toBe(written + 1);
        expect(statSync(file).size + size + 60).toBeGreaterThan(limit);
        expect(packetsOf(file).at(-1)?.comments).toEqual([
          `the capture ends here: it has reached its limit of ${limit} bytes`,
        ]);
        expect(statisticsOf(file)).toMatchObject({ received: 100n, dropped: BigInt(leftOut.limit) });
      }),
      { numRuns: 50 },
    );
  });

  it('leaves out what the disk is too slow for, and says so at the next frame', async () => {
    const { file, taken } = capture({ pendingBytes: 10_000 });
    const offer = (count: number) => {
      for (let i = 0; i < count; i++) taken.frame('inbound', Buffer.alloc(968), 0);
    };
    // The disk has no chance within one turn of the event loop.
    offer(20);
    taken.note('a note waits longer', 0);
    const { written } = taken.counters;
    expect(written).toBe(9);
    expect(taken.counters.leftOut).toEqual({ limit: 0, pending: 11, failed: 0 });
    while (taken.counters.written === written) {
      await new Promise((resolve) => setImmediate(resolve));
      offer(1);
    }
    const { pending } = taken.counters.leftOut;
    await taken.close();
    const packets = packetsOf(file);
    expect(packets).toHaveLength(10);
    expect(packets.at(-1)?.comments).toEqual([
      '0.000 s: a note waits longer',
      `${pending} left out before this one: the disk was too slow`,
    ]);
    expect(statisticsOf(file)).toMatchObject({ received: BigInt(10 + pending), dropped: BigInt(pending) });
  });

  it('is closed once, and takes nothing then', async () => {
    const { file, taken } = await sample();
    const before = readFileSync(file);
    taken.frame('inbound', arp.ask, 5000);
    taken.note('late', 5000);
    await taken.close();
    expect(readFileSync(file)).toEqual(before);
    expect(taken.counters.written).toBe(3);
  });

  it('fails at once where there can be no file, and at its end when the disk was full', async () => {
    expect(() => capture({ file: join(directory, 'none', 'file') })).toThrow(/ENOENT/);
    const { taken } = capture({ file: '/dev/full' });
    while (taken.counters.leftOut.failed === 0) {
      taken.frame('inbound', arp.ask, 0);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await expect(taken.close()).rejects.toThrow(/ENOSPC/);
  });
});
