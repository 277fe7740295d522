import { describe, expect, onTestFinished, test } from 'vitest';
import { EventFd } from '../../src/os/index.js';
import { PeerTraffic } from '../../src/peer/index.js';
import { Recorder } from '../../src/timeline/index.js';
import { buffersOf, buildPacket, type GuestMemory, parsePacket, virtioNetHeader } from '../../src/virtio/index.js';
import {
  bit,
  VIRTIO_F_RING_PACKED,
  VIRTIO_NET_F_MRG_RXBUF,
  VIRTIO_RING_F_INDIRECT_DESC,
} from '../../src/wire/index.js';
import { INDIRECT, PackedDriver, type Piece, WRITE } from '../virtio/packed-guest-ring.js';
import type { FrontEnd } from './front-end.js';
import { HIGH, REGION, USER } from './guest.js';
import { profile, type Rig, type RigOptions, rig, seen } from './rig.js';

const SIZE = 8;
const BUFFER = 256;

type Shape = 'single' | 'chain' | 'indirect';

/** A packed ring in the guest of a scripted front-end, with the independent driver of test/virtio. */
class PackedRing extends PackedDriver {
  readonly kick = EventFd.create();
  readonly call = EventFd.create();
  /** The base that it was laid out for. */
  readonly first: number;
  readonly #frontEnd: FrontEnd;

  constructor(
    frontEnd: FrontEnd,
    readonly index: number,
    readonly shape: Shape,
    start?: { index: number; wrap: boolean },
  ) {
    const region = frontEnd.guest.memory;
    const memory: GuestMemory = {
      read: (addr, length) => region.read(Number(addr), length),
      write: (addr, bytes) => region.write(Number(addr), bytes),
    };
    super(SIZE, memory, BigInt(0x1000 * index), start);
    this.#frontEnd = frontEnd;
    this.first = this.base;
    onTestFinished(() => {
      this.kick.close();
      this.call.close();
    });
  }

  /** Sets the ring up and starts it, enabled: where it was laid out, or elsewhere. */
  start(base = this.first): void {
    const { index, events } = this;
    const user = USER + this.at;
    this.#frontEnd.state('SET_VRING_NUM', index, SIZE);
    this.#frontEnd.state('SET_VRING_BASE', index, base);
    this.#frontEnd.send('SET_VRING_ADDR', {
      ...{ kind: 'vring-addr', index, flags: 0, logGuestAddr: 0n, descUserAddr: user },
      availUserAddr: user + BigInt(events),
      usedUserAddr: user + BigInt(events + 4),
    });
    this.#frontEnd.send('SET_VRING_CALL', { kind: 'vring-fd', index, noFd: false }, { fds: [this.call.fd] });
    this.#frontEnd.send('SET_VRING_KICK', { kind: 'vring-fd', index, noFd: false }, { fds: [this.kick.fd] });
    this.#frontEnd.state('SET_VRING_ENABLE', index, 1);
  }

  transmit(...seqs: number[]): void {
    for (const seq of seqs) {
      const frame = Buffer.concat([virtioNetHeader(12), buildPacket({ dir: 'tx', pair: this.index >> 1, seq })]);
      this.#frontEnd.guest.memory.write(this.#bufferAt(seq % SIZE), frame);
      this.add(seq % SIZE, this.#pieces(seq % SIZE, frame.length, 0));
    }
  }

  post(id: number, length = BUFFER): void {
    this.add(id, this.#pieces(id, length, WRITE));
  }

  bytes(id: number, length: number): Buffer {
    return this.#frontEnd.guest.memory.read(this.#bufferAt(id), length);
  }

  #pieces(id: number, length: number, flags: number): Piece[] {
    const addr = HIGH + BigInt(this.#bufferAt(id) - REGION);
    const cut = 7;
    const two = [
      { addr, length: cut, flags },
      { addr: addr + BigInt(cut), length: length - cut, flags },
    ];
    if (this.shape === 'single') return [{ addr, length, flags }];
    if (this.shape === 'chain') return two;
    const table = Buffer.alloc(32);
    for (const [i, piece] of two.entries()) {
      table.writeBigUInt64LE(piece.addr, 16 * i);
      table.writeUInt32LE(piece.length, 16 * i + 8);
      table.writeUInt16LE(piece.flags, 16 * i + 14);
    }
    this.#frontEnd.guest.memory.write(this.#bufferAt(id) + BUFFER, table);
    return [{ addr: addr + BigInt(BUFFER), length: 32, flags: INDIRECT }];
  }

  #bufferAt(id: number): number {
    return REGION + 2 * BUFFER * (this.index * SIZE + id);
  }
}

const PACKED = bit(VIRTIO_F_RING_PACKED);

async function open(options: RigOptions = {}, without = 0n): Promise<Rig> {
  const made = rig(options);
  // EVENT_IDX stays out: the model of test/virtio has tests of its own for it.
  await made.frontEnd.handshake({ extra: PACKED, without: without | bit(29) });
  return made;
}

/** Resolves when the peer has handled all that was sent. */
const handled = ({ frontEnd }: Rig) => frontEnd.askU64('GET_FEATURES');
const baseOf = async ({ frontEnd }: Rig, index: number) =>
  (await frontEnd.ask('GET_VRING_BASE', { kind: 'vring-state', index, num: 0 })).payload;

describe.each(['single', 'chain', 'indirect'] as const)('packed rings, %s descriptors', (shape) => {
  test('TX: every packet is seen once, in order, round the ring', async () => {
    const made = await open();
    const tx = new PackedRing(made.frontEnd, 1, shape);
    tx.start();
    for (let seq = 0; seq < 40; seq += 3) {
      tx.transmit(seq, seq + 1, seq + 2);
      tx.kick.signal();
      await seen(made.recorder, 'packets.seen', ({ seqs }) => seqs.some(([, last]) => last === seq + 2));
      expect(tx.takeUsed()).toEqual([seq, seq + 1, seq + 2].map((n) => ({ id: n % SIZE, written: 0 })));
    }
    const all = made.recorder.timeline().all('packets.seen');
    expect(all.flatMap(({ seqs }) => seqs)).toEqual(Array.from({ length: 14 }, (_, i) => [3 * i, 3 * i + 2]));
    expect(all.every(({ corrupt }) => corrupt === 0)).toBe(true);
    expect(tx.call.drain()).toBe(14n);
  });

  test('RX: packets wait for buffers and fill them in order', async () => {
    const made = await open();
    const rx = new PackedRing(made.frontEnd, 0, shape, { index: 6, wrap: false });
    rx.start();
    made.traffic.queueRx(0, 0, 20);
    await handled(made);
    const got: number[] = [];
    while (got.length < 20) {
      const before = got.length;
      for (let id = 0; id < 3 && before + id < 20; id++) rx.post(id);
      rx.kick.signal();
      await seen(made.recorder, 'packets.sent', ({ seqs }) => seqs.some(([first]) => first === before));
      for (const { id, written } of rx.takeUsed()) {
        const bytes = rx.bytes(id, written);
        expect(buffersOf(bytes)).toBe(1);
        got.push(parsePacket(bytes.subarray(12))!.seq);
      }
    }
    expect(got).toEqual(Array.from({ length: 20 }, (_, i) => i));
  });
});

describe('a base of a packed ring', () => {
  test('is where it starts, and with both halves where it stopped if the peer tells all', async () => {
    const made = await open({ profile: { ...profile, wholeBase: true } });
    const tx = new PackedRing(made.frontEnd, 1, 'single', { index: 6, wrap: true });
    tx.transmit(6, 7);
    tx.start();
    await handled(made);
    expect(made.recorder.latest('ring.start')).toMatchObject({
      layout: 'packed',
      base: 0x80068006,
      available: true,
      eventFlags: 0,
    });
    expect(made.recorder.latest('ring.start')).not.toHaveProperty('usedIdx');
    tx.transmit(8);
    tx.kick.signal();
    await seen(made.recorder, 'packets.seen', ({ seqs }) => seqs.some(([, last]) => last === 8));
    expect(await baseOf(made, 1)).toMatchObject({ num: 0x00010001 });
    expect(made.recorder.latest('ring.stop')).toMatchObject({ layout: 'packed', base: 0x00010001 });
  });

  test('is told without its used half by a peer like DPDK', async () => {
    const made = await open();
    const tx = new PackedRing(made.frontEnd, 1, 'single');
    tx.transmit(0, 1, 2);
    tx.start();
    await handled(made);
    expect(await baseOf(made, 1)).toMatchObject({ num: 0x8003 });
    expect(made.recorder.latest('ring.stop')).toMatchObject({ base: 0x8003 });
    // It goes on there when it is started again.
    tx.takeUsed();
    tx.transmit(3);
    tx.start(0x8003);
    await seen(made.recorder, 'packets.seen', ({ seqs }) => seqs.some(([, last]) => last === 3));
  });

  test('that is stale leaves the peer without anything to do', async () => {
    const made = await open();
    const tx = new PackedRing(made.frontEnd, 1, 'single');
    tx.transmit(0, 1, 2);
    tx.start();
    await baseOf(made, 1);
    tx.takeUsed();
    tx.transmit(3, 4);
    tx.start(0x80008000);
    tx.kick.signal();
    await seen(made.recorder, 'ring.kick');
    await handled(made);
    expect(made.recorder.latest('ring.start')).toMatchObject({ base: 0x80008000, available: false });
    expect(made.recorder.timeline().all('packets.seen')).toHaveLength(1);
    expect(made.session.open).toBe(true);
  });

  test('that lies outside of the ring is a message that no front-end may send', async () => {
    const made = await open();
    new PackedRing(made.frontEnd, 1, 'single').start(0x8008);
    expect(await made.closed()).toMatchObject({ by: 'peer', how: 'error', code: 'ERR_RING_BASE' });
  });
});

describe('merged buffers', () => {
  test('take a frame together, all of it or nothing yet', async () => {
    const made = await open();
    const rx = new PackedRing(made.frontEnd, 0, 'single');
    rx.start();
    made.traffic.queueRx(0, 7, 1);
    rx.post(0, 50);
    rx.kick.signal();
    await seen(made.recorder, 'ring.kick');
    await handled(made);
    expect(rx.takeUsed()).toEqual([]);
    rx.post(1, 50);
    rx.kick.signal();
    await seen(made.recorder, 'packets.sent');
    expect(rx.takeUsed()).toEqual([
      { id: 0, written: 50 },
      { id: 1, written: 26 },
    ]);
    const frame = Buffer.concat([rx.bytes(0, 50), rx.bytes(1, 26)]);
    expect(buffersOf(frame)).toBe(2);
    expect(parsePacket(frame.subarray(12))).toEqual({ dir: 'rx', pair: 0, seq: 7 });
  });

  test('are for guests that accepted them: without, a buffer too small ends the session', async () => {
    const recorder = new Recorder();
    const made = await open({ recorder, traffic: new PeerTraffic(recorder) }, bit(VIRTIO_NET_F_MRG_RXBUF));
    const rx = new PackedRing(made.frontEnd, 0, 'single');
    made.traffic.queueRx(0, 7, 1);
    rx.post(0, 50);
    rx.start();
    expect(await made.closed()).toMatchObject({ how: 'error', code: 'ERR_CHAIN_BYTES' });
  });
});

test('an indirect table that the guest did not accept ends the session', async () => {
  const made = await open({}, bit(VIRTIO_RING_F_INDIRECT_DESC));
  const tx = new PackedRing(made.frontEnd, 1, 'indirect');
  tx.transmit(0);
  tx.start();
  expect(await made.closed()).toMatchObject({ by: 'peer', how: 'error', code: 'ERR_INDIRECT' });
  expect(made.recorder.latest('tester.trouble')).toBeUndefined();
});
