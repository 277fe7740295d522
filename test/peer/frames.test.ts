import { describe, expect, test } from 'vitest';
import { FrameTraffic, type GuestFrame, profiles } from '../../src/peer/index.js';
import { virtioNetHeader } from '../../src/virtio/index.js';
import { bit, VIRTIO_F_VERSION_1, VIRTIO_NET_F_MRG_RXBUF } from '../../src/wire/index.js';
import type { GuestRing, RingOptions } from './guest.js';
import { type Rig, rig, seen } from './rig.js';
import { ListeningQemu, site } from './sites.js';

type Got = [frame: GuestFrame, session: number];

interface Bench extends Rig<FrameTraffic> {
  got: Got[];
  rx: GuestRing;
  tx: GuestRing;
  /** Resolves when everything that the front-end sent before was dealt with. */
  settle(): Promise<unknown>;
}

/** A guest with one pair of rings, and what reached the switch behind the peer. */
async function bench(options: RingOptions & { without?: bigint; number?: number } = {}): Promise<Bench> {
  const got: Got[] = [];
  const traffic = new FrameTraffic((frame, session) => got.push([frame, session]));
  const made = rig({ traffic, ...(options.number === undefined ? {} : { number: options.number }) });
  await made.frontEnd.handshake({ without: options.without ?? 0n });
  const [rx, tx] = made.frontEnd.startRings(options);
  const settle = () => made.frontEnd.askU64('GET_FEATURES');
  await settle();
  return { ...made, got, rx, tx, settle };
}

const text = (frame: { bytes: Buffer }) => frame.bytes.toString();
const header = (changes: [at: number, bytes: number[]][] = [], length: 10 | 12 = 12) => {
  const bytes = Buffer.alloc(length);
  for (const [at, values] of changes) bytes.set(values, at);
  return bytes;
};
const send = (tx: GuestRing, frame: string, head = header()) => tx.add(Buffer.concat([head, Buffer.from(frame)]));
const called = (made: Rig<FrameTraffic>, ring: number) =>
  seen(made.recorder, 'ring.call', (call) => call.ring === ring);

describe('frames of the guest', () => {
  test('reach the switch as they are, in order, with their session; their buffers go back', async () => {
    const made = await bench({ number: 3, shape: 'chain' });
    for (const frame of ['one', 'two', 'three']) send(made.tx, frame);
    made.tx.notify();
    await called(made, 1);
    expect(made.got.map(([frame, session]) => [text(frame), session])).toEqual([
      ['one', 3],
      ['two', 3],
      ['three', 3],
    ]);
    expect(made.got[0]![0]).toEqual({ bytes: Buffer.from('one'), oversized: false });
    expect(made.tx.takeUsed().map(({ written }) => written)).toEqual([0, 0, 0]);
    // They are no packets of the suite.
    expect(made.recorder.latest('packets.seen')).toBeUndefined();
  });

  test('say what is left to the device: a checksum, cutting up', async () => {
    const made = await bench();
    send(
      made.tx,
      'a',
      header([
        [0, [1]],
        [6, [0x22, 0x01, 0x10, 0x02]],
      ]),
    );
    // Without the flag the places mean nothing; another flag is none.
    send(
      made.tx,
      'b',
      header([
        [0, [2]],
        [6, [34, 0, 16, 0]],
      ]),
    );
    send(
      made.tx,
      'c',
      header([
        [0, [1]],
        [1, [1]],
        [6, [34, 0, 6, 0]],
      ]),
    );
    made.tx.notify();
    await called(made, 1);
    expect(made.got.map(([frame]) => ({ ...frame, bytes: text(frame) }))).toEqual([
      { bytes: 'a', checksum: { start: 0x122, offset: 0x210 }, oversized: false },
      { bytes: 'b', oversized: false },
      { bytes: 'c', checksum: { start: 34, offset: 6 }, oversized: true },
    ]);
  });

  test('have a shorter header before virtio 1', async () => {
    const made = await bench({ without: bit(VIRTIO_F_VERSION_1) | bit(VIRTIO_NET_F_MRG_RXBUF) });
    send(made.tx, 'legacy', header([], 10));
    made.tx.notify();
    await called(made, 1);
    expect(made.got.map(([frame]) => text(frame))).toEqual(['legacy']);
  });

  test('that are shorter than their header are dropped, and those after them are not', async () => {
    const made = await bench();
    made.tx.add(Buffer.alloc(11));
    send(made.tx, 'whole');
    made.tx.notify();
    await called(made, 1);
    expect(made.got.map(([frame]) => text(frame))).toEqual(['whole']);
    expect(made.tx.takeUsed()).toHaveLength(2);
  });

  test('may be answered from within', async () => {
    let answered = 0;
    const traffic: FrameTraffic = new FrameTraffic(({ bytes }) => {
      answered++;
      traffic.send(Buffer.from(`re: ${bytes}`));
      for (const ring of made.session.runningRings) if (ring.dir === 'rx') made.session.pump(ring);
    });
    const made = rig({ traffic });
    await made.frontEnd.handshake();
    const [rx, tx] = made.frontEnd.startRings();
    rx.post(4);
    await made.frontEnd.askU64('GET_FEATURES');
    send(tx, 'x');
    send(tx, 'y');
    tx.notify();
    await called(made, 0);
    await called(made, 1);
    expect(answered).toBe(2);
    expect(rx.takeBytes().map((bytes) => bytes.subarray(12).toString())).toEqual(['re: x', 're: y']);
  });
});

describe('frames for the guest', () => {
  /** Gives the guest what waits, as far as it has buffers. */
  const pump = ({ session }: Bench) => {
    for (const ring of session.runningRings) if (ring.dir === 'rx') session.pump(ring);
  };

  test('wait for buffers, and fill them in order, each with a header', async () => {
    const made = await bench();
    for (const frame of ['one', 'two', 'three']) made.traffic.send(Buffer.from(frame));
    pump(made);
    expect(made.rx.takeBytes()).toEqual([]);
    made.rx.post(2);
    made.rx.notify();
    await called(made, 0);
    const whole = (frame: string) => Buffer.concat([virtioNetHeader(12, 1), Buffer.from(frame)]);
    expect(made.rx.takeBytes()).toEqual([whole('one'), whole('two')]);
    made.rx.post(1);
    pump(made);
    expect(made.rx.takeBytes()).toEqual([whole('three')]);
    made.rx.post(1);
    pump(made);
    expect(made.rx.takeBytes()).toEqual([]);
    expect(made.traffic.overruns).toBe(0);
  });

  test('fill as many buffers as they take', async () => {
    const made = await bench();
    const frame = Buffer.alloc(600, 'x');
    made.traffic.send(frame);
    made.rx.post(2);
    pump(made);
    expect(made.rx.takeBytes()).toEqual([]);
    made.rx.post(1);
    pump(made);
    const parts = made.rx.takeBytes();
    expect(parts).toHaveLength(3);
    expect(Buffer.concat(parts)).toEqual(Buffer.concat([virtioNetHeader(12, 3), frame]));
  });

  test('are dropped and counted when too many wait; the old ones stay', async () => {
    const made = await bench({ size: 8 });
    for (let i = 0; i < 600; i++) made.traffic.send(Buffer.from(`${i}`));
    expect(made.traffic.overruns).toBe(88);
    const got: string[] = [];
    for (let before = -1; before < got.length; ) {
      before = got.length;
      made.rx.post(made.rx.room);
      pump(made);
      got.push(...made.rx.takeBytes().map((bytes) => bytes.subarray(12).toString()));
      if (got.length === 512) break;
    }
    expect(got).toEqual(Array.from({ length: 512 }, (_, i) => `${i}`));
    made.traffic.send(Buffer.from('room again'));
    expect(made.traffic.overruns).toBe(88);
  });

  test('are forgotten when there is nobody for them', async () => {
    const made = await bench();
    made.traffic.send(Buffer.from('old'));
    made.traffic.clear();
    made.traffic.send(Buffer.from('new'));
    made.rx.post(4);
    pump(made);
    expect(made.rx.takeBytes().map((bytes) => bytes.subarray(12).toString())).toEqual(['new']);
    expect(made.traffic.overruns).toBe(0);
  });
});

describe('a session that is frozen', () => {
  test('reads nothing and serves nothing, then everything', async () => {
    const made = await bench();
    const { session, frontEnd, recorder, tx, rx, traffic } = made;
    const before = recorder.timeline().all('wire.recv').length;
    session.freeze();
    expect([session.frozen, session.keepsWaiting]).toEqual([true, true]);
    expect(recorder.latest('peer.fault')).toMatchObject({ session: 1, fault: 'hold' });
    expect(recorder.latest('peer.fault')).not.toHaveProperty('message');
    expect(recorder.latest('peer.fault')).not.toHaveProperty('spoils');
    const answer = frontEnd.askU64('GET_FEATURES');
    send(tx, 'meanwhile');
    expect(tx.notify()).toBe(true);
    rx.post(1);
    rx.notify();
    traffic.send(Buffer.from('to the guest'));
    for (const ring of session.runningRings) session.pump(ring);
    // Another session of the same process is served meanwhile, from its first message to its last kick.
    const other = await bench({ number: 2 });
    send(other.tx, 'served');
    other.tx.notify();
    await called(other, 1);
    expect(recorder.timeline().all('wire.recv')).toHaveLength(before);
    expect(session.unread).toBeGreaterThan(0);
    expect(made.got).toEqual([]);
    expect([...tx.takeUsed(), ...rx.takeUsed()]).toEqual([]);
    expect(recorder.latest('peer.resumed')).toBeUndefined();
    session.thaw();
    expect(recorder.latest('peer.resumed')).toMatchObject({ session: 1 });
    expect([session.frozen, session.keepsWaiting]).toEqual([false, false]);
    // The kick came while nobody looked, and no other comes.
    expect(made.got.map(([frame]) => text(frame))).toEqual(['meanwhile']);
    expect(tx.takeUsed()).toHaveLength(1);
    expect(rx.takeBytes().map((bytes) => bytes.subarray(12).toString())).toEqual(['to the guest']);
    await answer;
    expect(recorder.timeline().all('wire.recv')).toHaveLength(before + 1);
    // And serves on.
    send(tx, 'after');
    tx.notify();
    await made.settle();
    await seen(recorder, 'ring.kick', ({ seq }) => seq > recorder.latest('peer.resumed')!.seq);
    expect(made.got.map(([frame]) => text(frame))).toEqual(['meanwhile', 'after']);
  });

  test('can be frozen again, but not twice at once, and thawed only when it is', async () => {
    const { session, recorder, settle } = await bench();
    expect(() => session.thaw()).toThrow(expect.objectContaining({ code: 'ERR_NOTHING_HELD' }));
    session.freeze();
    expect(() => session.freeze()).toThrow(expect.objectContaining({ code: 'ERR_FROZEN' }));
    session.thaw();
    await settle();
    session.freeze();
    session.thaw();
    await settle();
    expect(recorder.timeline().all('peer.fault')).toHaveLength(2);
    expect(recorder.timeline().all('peer.resumed')).toHaveLength(2);
    expect(() => session.thaw()).toThrow(expect.objectContaining({ code: 'ERR_NOTHING_HELD' }));
  });

  test('leaves without reading what waits, and is over then', async () => {
    const { session, frontEnd, recorder, closed } = await bench();
    session.freeze();
    frontEnd.send('GET_FEATURES');
    session.leave('close');
    expect(await closed()).toMatchObject({ by: 'peer' });
    expect(() => session.thaw()).toThrow(expect.objectContaining({ code: 'ERR_NOTHING_HELD' }));
    expect(session.keepsWaiting).toBe(false);
    expect(recorder.latest('peer.resumed')).toBeUndefined();
  });

  test('cannot freeze when it is over, nor when it holds a message back already', async () => {
    const over = await bench();
    over.session.leave('close');
    expect(() => over.session.freeze()).toThrow(expect.objectContaining({ code: 'ERR_NO_SESSION' }));
    expect(over.recorder.latest('peer.fault')).toBeUndefined();
    const holding = rig({ fault: { hold: { message: 'SET_OWNER' } } });
    holding.frontEnd.send('SET_OWNER');
    await seen(holding.recorder, 'peer.fault');
    expect(() => holding.session.freeze()).toThrow(expect.objectContaining({ code: 'ERR_FROZEN' }));
  });
});

test('a peer becomes another when it arrives the next time, and stays so', async () => {
  const { path, peer } = site('server');
  const qemu = new ListeningQemu(path);
  await qemu.listen();
  await peer.arrive();
  const first = peer.session!.profile.name;
  const other = Object.values(profiles).find(({ name }) => name !== first)!;
  peer.become(other);
  expect(peer.session!.profile.name).toBe(first);
  for (const _ of [1, 2]) {
    await peer.leave('close');
    await peer.arrive();
    expect(peer.session!.profile.name).toBe(other.name);
  }
  await peer.leave('close');
  await peer.arrive({ profile: 'original' });
  expect(peer.session!.profile.name).toBe(first);
});
