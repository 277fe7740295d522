import { ftruncateSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { deliver } from '../../src/peer/traffic.js';
import { type Chain, DESC_F_NEXT, DESC_F_WRITE, type DeviceQueue, VirtioError } from '../../src/virtio/index.js';
import {
  bit,
  encodePayload,
  frontEndRequests,
  specByName,
  VIRTIO_F_VERSION_1,
  VIRTIO_NET_F_MRG_RXBUF,
} from '../../src/wire/index.js';
import { ownFds } from '../os/helpers.js';
import type { FrontEnd } from './front-end.js';
import { type GuestRing, HIGH, REGION, USER } from './guest.js';
import { samples, withFds } from './messages.js';
import { makeRig, rig, seen } from './rig.js';

/** A session whose rings run; what a front-end does to it then must end it, not the tester. */
async function broken(sabotage: (rx: GuestRing, tx: GuestRing, frontEnd: FrontEnd) => void): Promise<string> {
  const { frontEnd, recorder, session, closed, traffic } = rig();
  await frontEnd.handshake();
  const [rx, tx] = frontEnd.startRings();
  await frontEnd.askU64('GET_FEATURES');
  traffic.queueRx(0, 0, 4);
  sabotage(rx, tx, frontEnd);
  const close = await closed();
  expect(close).toMatchObject({ by: 'peer', how: 'error' });
  expect(session.open).toBe(false);
  expect(recorder.latest('tester.trouble')).toBeUndefined();
  expect(recorder.events.at(-1)).toBe(close);
  return close.error!;
}

describe('rings that are set up wrong', () => {
  const address = (index: number, ring: GuestRing, off: { desc?: bigint; avail?: bigint; used?: bigint }) =>
    ({
      kind: 'vring-addr',
      index,
      flags: 0,
      descUserAddr: ring.addresses.descUserAddr + (off.desc ?? 0n),
      availUserAddr: ring.addresses.availUserAddr + (off.avail ?? 0n),
      usedUserAddr: ring.addresses.usedUserAddr + (off.used ?? 0n),
      logGuestAddr: 0n,
    }) as const;

  test.each([
    ['unmapped descriptors', { desc: 1n << 40n }, 'no memory region'],
    ['unmapped available ring', { avail: 1n << 40n }, 'no memory region'],
    ['unmapped used ring', { used: 1n << 40n }, 'no memory region'],
    ['used ring at the end of 64 bits', { used: 0xffff_ffff_ffff_fff0n - USER - 4096n }, 'no memory region'],
    ['misaligned descriptors', { desc: 1n }, 'desc'],
    ['misaligned available ring', { avail: 1n }, 'avail'],
    ['misaligned used ring', { used: 2n }, 'used'],
  ])('%s', async (_what, off, error) => {
    const { frontEnd, closed, recorder, traffic } = rig();
    await frontEnd.handshake();
    const ring = frontEnd.setRing(0);
    traffic.queueRx(0, 0, 1);
    ring.post(1);
    frontEnd.send('SET_VRING_ADDR', address(0, ring, off));
    frontEnd.state('SET_VRING_ENABLE', 0, 1);
    frontEnd.kick(0);
    expect(await closed()).toMatchObject({ by: 'peer', how: 'error', error: expect.stringContaining(error) });
    expect(recorder.latest('tester.trouble')).toBeUndefined();
  });

  test.each([0, 3, 65536, 0xffffffff])('SET_VRING_NUM %i', async (num) => {
    const { frontEnd, closed } = rig();
    frontEnd.state('SET_VRING_NUM', 0, num);
    expect(await closed()).toMatchObject({ how: 'error', error: expect.stringContaining(`${num}`) });
  });

  test('a kick before size and addresses', async () => {
    const { frontEnd, closed } = rig();
    frontEnd.kick(0);
    expect(await closed()).toMatchObject({ how: 'error', error: expect.stringContaining('before its size') });
  });

  test('a kick without any memory', async () => {
    const { frontEnd, closed } = rig();
    frontEnd.setRing(0);
    frontEnd.kick(0);
    expect(await closed()).toMatchObject({ how: 'error', error: expect.stringContaining('no memory region') });
  });

  test('a base that does not belong to the memory', async () => {
    const { frontEnd, closed, traffic } = rig();
    await frontEnd.handshake();
    frontEnd.setRing(0);
    frontEnd.state('SET_VRING_BASE', 0, 1000);
    traffic.queueRx(0, 0, 1);
    frontEnd.kick(0);
    frontEnd.state('SET_VRING_ENABLE', 0, 1);
    expect(await closed()).toMatchObject({ how: 'error', error: expect.stringContaining('available index') });
  });
});

describe('running rings that go wrong', () => {
  const queue = (ring: GuestRing) => {
    ring.addHead(0);
    ring.kick.signal();
  };

  test('a descriptor to nowhere', async () => {
    expect(
      await broken((_rx, tx) => {
        tx.describe(0, 1n << 50n, 64);
        queue(tx);
      }),
    ).toContain('no memory region holds 64 bytes');
  });

  test('a descriptor across the end of its region', async () => {
    expect(
      await broken((_rx, tx) => {
        tx.describe(0, HIGH + BigInt(REGION) - 16n, 64);
        queue(tx);
      }),
    ).toContain('no memory region');
  });

  test('a receive buffer nowhere', async () => {
    expect(
      await broken((rx) => {
        rx.describe(0, 1n << 50n, 256, 2);
        queue(rx);
      }),
    ).toContain('no memory region');
  });

  test.each([
    ['of no bytes', 0, DESC_F_WRITE],
    ['that only the driver may write', 256, 0],
    ['too small for a header', 11, DESC_F_WRITE],
  ])('a receive buffer %s', async (_what, length, flags) => {
    expect(
      await broken((rx) => {
        rx.describe(0, rx.bufferAddr(0), length, flags);
        queue(rx);
      }),
    ).toMatch(/^receive buffer 0 with room for (0|11) bytes/);
  });

  test.each([
    ['empty', () => []],
    ['in a thousand pieces', () => Array.from({ length: 1000 }, () => ({ addr: HIGH, length: 1 }))],
    ['just large enough for a header', () => [{ addr: HIGH, length: 12 }]],
  ])('receive buffers without end, %s', (_what, pieces) => {
    // A guest that runs on makes a buffer available for each that is taken: no length of the ring ends that.
    let taken = 0;
    const pop = (): Chain => {
      if (++taken > 10_000) throw new Error('there is no end of it');
      return { head: 0, slots: 1, out: [], in: pieces() };
    };
    const endless = { base: 0, pop } as Partial<DeviceQueue> as DeviceQueue;
    const features = bit(VIRTIO_F_VERSION_1) | bit(VIRTIO_NET_F_MRG_RXBUF);
    expect(() => deliver(endless, Buffer.alloc(65_000), features)).toThrow(VirtioError);
    expect(taken).toBeLessThan(300);
  });

  test('a chain that loops', async () => {
    expect(
      await broken((_rx, tx) => {
        tx.describe(0, tx.bufferAddr(0), 64, DESC_F_NEXT, 0);
        queue(tx);
      }),
    ).toContain('more than 8 descriptors');
  });

  test('a head outside of the table', async () => {
    expect(
      await broken((_rx, tx) => {
        tx.addHead(8);
        tx.kick.signal();
      }),
    ).toContain('names descriptor 8');
  });

  test('an available index that jumps', async () => {
    expect(
      await broken((_rx, tx) => {
        tx.setAvail(100);
        tx.kick.signal();
      }),
    ).toContain('available index');
  });

  test('a chain of gigabytes', async () => {
    expect(
      await broken((_rx, tx) => {
        tx.describe(0, tx.bufferAddr(0), 0xffffffff);
        queue(tx);
      }),
    ).toContain('4294967295');
  });

  test('memory that is taken away by an empty table', async () => {
    expect(
      await broken((_rx, tx, frontEnd) => {
        frontEnd.send('SET_MEM_TABLE', { kind: 'memory', regions: [] });
        tx.transmit([0]);
        tx.kick.signal();
      }),
    ).toContain('no memory region');
  });

  test('memory that shrinks under the rings', async () => {
    expect(
      await broken((_rx, tx, { guest }) => {
        ftruncateSync(guest.fd, 0);
        tx.kick.signal();
      }),
    ).toContain('the memory is gone');
  });

  test('memory that shrinks under the buffers only', async () => {
    expect(
      await broken((_rx, tx, { guest }) => {
        tx.transmit([0]);
        ftruncateSync(guest.fd, REGION);
        tx.kick.signal();
      }),
    ).toContain('the memory is gone');
  });

  test('memory that shrinks while the peer leaves orderly', async () => {
    const { frontEnd, recorder, session, closed } = rig();
    await frontEnd.handshake();
    frontEnd.startRings();
    await frontEnd.askU64('GET_FEATURES');
    ftruncateSync(frontEnd.guest.fd, 0);
    session.leave('close');
    expect(await closed()).toMatchObject({ by: 'peer', how: 'close' });
    expect(recorder.latest('tester.trouble')).toBeUndefined();
  });
});

describe('messages that are none', () => {
  test.each([
    ['a region beyond its file', 1n << 30n, 0n],
    ['a region of no bytes', 0n, 0n],
    ['a region of 2^64 - 1 bytes', 0xffff_ffff_ffff_ffffn, 0n],
    ['an offset beyond the file', 4096n, 1n << 62n],
  ])('%s', async (_what, size, mmapOffset) => {
    const { frontEnd, session, closed } = rig();
    const regions = [{ guestAddr: 0n, size, userAddr: USER, mmapOffset }];
    frontEnd.send('SET_MEM_TABLE', { kind: 'memory', regions }, { fds: [frontEnd.guest.fd] });
    expect(await closed()).toMatchObject({ by: 'peer', how: 'error' });
    expect(session.memory.size).toBe(0);
  });

  test.each([
    ['features', 'SET_FEATURES', 1n << 63n],
    ['protocol features', 'SET_PROTOCOL_FEATURES', 1n << 40n],
  ] as const)('%s that were not offered', async (_what, name, value) => {
    const { frontEnd, closed } = rig();
    frontEnd.send(name, { kind: 'u64', value });
    expect(await closed()).toMatchObject({ how: 'error', error: expect.stringContaining('not offered') });
  });

  test('a payload that is cut or too long', async () => {
    for (const { id, name } of frontEndRequests) {
      for (const change of [-1, 1]) {
        const made = makeRig();
        const bytes = encodePayload(samples(made.frontEnd.guest)[name].payload);
        if (bytes.length + change >= 0) {
          made.frontEnd.sendRaw(id, Buffer.concat([bytes, Buffer.alloc(1)]).subarray(0, bytes.length + change));
          made.frontEnd.send('GET_FEATURES');
          await Promise.race([made.closed(), seen(made.recorder, 'wire.send')]);
          expect(made.recorder.latest('tester.trouble'), name).toBeUndefined();
        }
        made.close();
      }
    }
  });

  test('a wrong version, a huge size', async () => {
    for (const [flags, size] of [
      [0, 0],
      [2, 0],
      [1, 0xffffffff],
    ] as const) {
      const { frontEnd, closed } = rig();
      const header = Buffer.alloc(12);
      header.writeUInt32LE(1, 0);
      header.writeUInt32LE(flags, 4);
      header.writeUInt32LE(size, 8);
      frontEnd.socket.send(header);
      expect(await closed()).toMatchObject({ by: 'peer', how: 'error' });
    }
  });

  test('half a message, then the end', async () => {
    for (const cut of [1, 11, 12, 15]) {
      const { frontEnd, recorder, closed } = rig();
      const message = Buffer.alloc(20);
      message.writeUInt32LE(specByName('SET_FEATURES').id, 0);
      message.writeUInt32LE(1, 4);
      message.writeUInt32LE(8, 8);
      frontEnd.socket.send(message.subarray(0, cut));
      frontEnd.socket.close();
      expect(await closed()).toMatchObject({ by: 'front-end', how: 'eof' });
      expect(recorder.latest('wire.recv')).toBeUndefined();
    }
  });

  test('any bytes with any descriptors never trouble the tester nor leak', async () => {
    const before = await ownFds();
    const header = fc
      .tuple(fc.integer({ min: 0, max: 50 }), fc.constantFrom(1, 1, 9, 9, 5, 0), fc.integer({ min: 0, max: 64 }))
      .map((words) => {
        const bytes = Buffer.alloc(12);
        words.forEach((word, i) => {
          bytes.writeUInt32LE(word, 4 * i);
        });
        return bytes;
      });
    const chunk = fc.record({
      bytes: fc.oneof(
        header,
        fc.uint8Array({ minLength: 1, maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
      ),
      fds: fc.array(fc.constantFrom('guest' as const, 'eventfd' as const, 'memfd' as const, 'socket' as const), {
        maxLength: 3,
      }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(chunk, { maxLength: 12 }), async (chunks) => {
        const { frontEnd, recorder, session, closed, close } = makeRig();
        for (const { bytes, fds } of chunks)
          withFds(frontEnd.guest, fds, (opened) => frontEnd.socket.send(bytes, opened));
        frontEnd.socket.close();
        const { how } = await closed();
        expect(['eof', 'reset', 'error']).toContain(how);
        expect(session.open).toBe(false);
        expect(recorder.latest('tester.trouble')).toBeUndefined();
        frontEnd.guest.close();
        close();
      }),
      { numRuns: 300 },
    );
    expect(await ownFds()).toBe(before);
  });
});

test('a listener of the timeline that throws is trouble of the tester, and ends only its session', async () => {
  const made = rig();
  const unlisten = made.recorder.listen((event) => {
    if (event.type === 'wire.recv') throw new Error('a bug');
  });
  made.frontEnd.send('GET_FEATURES');
  expect(await made.closed()).toMatchObject({ how: 'error', error: 'a bug' });
  unlisten();
  expect(made.recorder.latest('tester.trouble')).toMatchObject({ what: 'peer: a bug' });
  const other = rig({ recorder: made.recorder, traffic: made.traffic, number: 2 });
  expect(await other.frontEnd.askU64('GET_FEATURES')).toBeTypeOf('bigint');
});

test('a front-end that floods and reads nothing, then closes', async () => {
  const messages = 5000;
  const { frontEnd, recorder, closed } = rig();
  frontEnd.socket.pauseReading();
  for (let i = 0; i < messages; i++) frontEnd.send('GET_FEATURES');
  await seen(recorder, 'wire.recv', ({ index }) => index === messages - 1);
  frontEnd.socket.close();
  expect(await closed()).toMatchObject({ by: 'front-end', how: 'reset' });
  expect(recorder.timeline().all('wire.send')).toHaveLength(messages);
});
