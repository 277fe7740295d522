import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { SwitchedPeer } from '../../src/peer/index.js';
import { Switch } from '../../src/switch/index.js';
import { Recorder } from '../../src/timeline/index.js';
import { virtioNetHeader } from '../../src/virtio/index.js';
import { seen } from './rig.js';
import { dial } from './sites.js';

const NEEDS_CSUM = 1;
const GSO_TCPV4 = 1;

/** A frame to everybody, with 16 bytes behind its header. */
const frameOf = (from: number, payload: string): Buffer =>
  Buffer.concat([Buffer.alloc(6, 0xff), Buffer.from([2, 0, 0, 0, 0, from]), Buffer.from('88b5', 'hex'), text(payload)]);
const text = (payload: string): Buffer => Buffer.concat([Buffer.from(payload), Buffer.alloc(16 - payload.length)]);

/** A peer at a port of a switch, another station at the next one, and who is seen passing. */
function scene() {
  const dir = mkdtempSync(join(tmpdir(), 'switched-'));
  const recorder = new Recorder();
  const network = new Switch({ now: () => recorder.now(), note: () => {} });
  const received: Buffer[] = [];
  const station = network.connect('station', (frame) => received.push(frame));
  const passed: string[] = [];
  const path = join(dir, 's');
  const switched = new SwitchedPeer({ role: 'client', path, recorder }, network, 'guest', (direction, frame) =>
    passed.push(`${direction} ${frame.subarray(14).toString().replaceAll('\0', '')}`),
  );
  onTestFinished(async () => {
    await switched.peer.close();
    rmSync(dir, { recursive: true });
  });
  /** A QEMU whose guest has one pair of rings. */
  const connect = async () => {
    await switched.peer.arrive();
    const frontEnd = await dial(path);
    await frontEnd.handshake({ without: 0n });
    const [rx, tx] = frontEnd.startRings({});
    const settle = () => frontEnd.askU64('GET_FEATURES');
    await settle();
    return { rx, tx, settle };
  };
  return { recorder, station, received, passed, switched, connect };
}

test('what a guest sends reaches the switch with its checksum, and what is to be cut up does not', async () => {
  const { recorder, received, passed, switched, connect } = scene();
  const { tx } = await connect();
  const send = (frame: Buffer, flags = 0, gso = 0) => {
    const header = Buffer.alloc(12);
    header.set([flags, gso]);
    header.writeUInt16LE(14, 6);
    header.writeUInt16LE(2, 8);
    tx.add(Buffer.concat([header, frame]));
  };
  send(frameOf(1, 'whole'));
  send(frameOf(1, 'large'), 0, GSO_TCPV4);
  send(frameOf(1, 'sum'), NEEDS_CSUM);
  tx.notify();
  await seen(recorder, 'ring.call', ({ ring }) => ring === 1);
  expect(received).toHaveLength(2);
  expect(received[0]).toEqual(frameOf(1, 'whole'));
  // 's' 'u' + 'm' 0: what was at its place counts in, as the driver puts the pseudo header there.
  expect(received[1]!.readUInt16BE(16)).toBe(~(0x7375 + 0x6d00) & 0xffff);
  expect(passed.map((line) => line.slice(0, 10))).toEqual(['inbound wh', 'inbound la', 'inbound su']);
  expect(switched.counters).toMatchObject({ received: 2, unreachable: 0 });
});

test('what is for a guest that nobody serves is counted, and not kept for the next one', async () => {
  const { station, passed, switched, connect } = scene();
  station.receive(frameOf(2, 'early'));
  expect(switched.counters).toMatchObject({ unreachable: 1 });
  const { rx } = await connect();
  rx.post(1);
  station.receive(frameOf(2, 'served'));
  expect(rx.takeBytes()).toEqual([Buffer.concat([virtioNetHeader(12, 1), frameOf(2, 'served')])]);
  // No buffer is there for this one, and then no peer.
  station.receive(frameOf(2, 'waits'));
  await switched.peer.leave('close');
  station.receive(frameOf(2, 'away'));
  const again = await connect();
  again.rx.post(2);
  switched.peer.session!.freeze();
  station.receive(frameOf(2, 'frozen'));
  switched.peer.session!.thaw();
  switched.peer.pumpRx();
  expect(again.rx.takeBytes()).toEqual([]);
  expect(passed).toEqual(['outbound served', 'outbound waits']);
  expect(switched.counters).toMatchObject({ sent: 5, unreachable: 3, overruns: 0 });
  switched.disconnect();
  station.receive(frameOf(2, 'nobody'));
  expect(switched.counters).toMatchObject({ sent: 5, unreachable: 3 });
});
