import { type Recorder, toRanges } from '../timeline/index.js';
import {
  buildPacket,
  type Chain,
  type DeviceQueue,
  parsePacket,
  roomOf,
  VirtioError,
  virtioNetHeader,
} from '../virtio/index.js';
import { VIRTIO_NET_F_MRG_RXBUF } from '../wire/index.js';
import { has, headerLength, type Vring } from './vring.js';

/**
 * What a peer does with the packets of its rings. It outlives the sessions.
 */
export interface Traffic {
  /** Moves packets on a running ring. @returns true when the driver wants to be interrupted. @throws VirtioError */
  pump(ring: Vring, features: bigint, session: number): boolean;
  /** Called when the peer comes, or leaves in order: nothing that the guest sent is to be left on the rings. */
  releaseTx(): void;
}

/**
 * The peer's end of the suite's traffic: checks what the guest transmits, injects what it shall receive. It outlives the sessions,
 * so packets that found no buffer, or no peer, wait here for the next one.
 */
export class PeerTraffic implements Traffic {
  readonly #recorder: Recorder;
  /** Sequence numbers still to be injected, per pair. */
  readonly #pending = new Map<number, number[]>();
  /** How many more TX packets are taken from the rings before the peer stalls; Infinity = no stall. */
  #txBudget = Infinity;

  constructor(recorder: Recorder) {
    this.#recorder = recorder;
  }

  /** Queues packets for the guest; `pump` injects them. */
  queueRx(pair: number, first: number, count: number): void {
    const list = this.#pending.get(pair) ?? [];
    for (let i = 0; i < count; i++) list.push(first + i);
    this.#pending.set(pair, list);
  }

  /** Takes only `count` more TX packets, then leaves the rest on the rings: traffic in flight when the peer leaves. */
  holdTx(count: number): void {
    this.#txBudget = count;
  }

  releaseTx(): void {
    this.#txBudget = Infinity;
  }

  pump(ring: Vring, features: bigint, session: number): boolean {
    return ring.dir === 'tx' ? this.#takeTx(ring, features, session) : this.#putRx(ring, features, session);
  }

  #takeTx(ring: Vring, features: bigint, session: number): boolean {
    const queue = ring.queue!;
    const header = headerLength(features);
    const seqs: number[] = [];
    let corrupt = 0;
    let taken = 0;
    while (this.#txBudget > 0) {
      const chain = popOrAsk(queue);
      if (!chain) break;
      this.#txBudget--;
      taken++;
      const packet = parsePacket(queue.readOut(chain).subarray(header));
      if (packet?.dir === 'tx' && packet.pair === ring.pair) seqs.push(packet.seq);
      else corrupt++;
      queue.push(chain, 0);
    }
    if (taken === 0) return false;
    queue.publish();
    this.#recorder.record({ type: 'packets.seen', dir: 'tx', pair: ring.pair, seqs: toRanges(seqs), corrupt, session });
    return queue.needsCall();
  }

  #putRx(ring: Vring, features: bigint, session: number): boolean {
    const queue = ring.queue!;
    const pending = this.#pending.get(ring.pair) ?? [];
    const sent: number[] = [];
    while (pending.length > 0) {
      const seq = pending[0]!;
      if (!deliver(queue, buildPacket({ dir: 'rx', pair: ring.pair, seq }), features)) break;
      pending.shift();
      sent.push(seq);
    }
    if (sent.length === 0) return false;
    queue.publish();
    this.#recorder.record({ type: 'packets.sent', dir: 'rx', pair: ring.pair, seqs: toRanges(sent), session });
    return queue.needsCall();
  }
}

/**
 * The next chain. When there is none, asks for a kick first and looks again after: a buffer made available in between would
 * otherwise wait for ever.
 */
export function popOrAsk(queue: DeviceQueue): Chain | undefined {
  for (;;) {
    const chain = queue.pop();
    if (chain || queue.enableNotify()) return chain;
  }
}

/** Pieces of buffers that one frame may take, as in DPDK (lib/vhost/vhost.h, BUF_VECTOR_MAX). */
const MAX_PIECES = 256;

/**
 * Puts a frame into the guest's buffers: into one, or with MRG_RXBUF into as many as it takes. @returns whether there were
 * @throws VirtioError on a buffer without room for a header: a driver that made such ones available without end would never be
 * done with; or when a frame takes more than MAX_PIECES
 */
export function deliver(queue: DeviceQueue, frame: Buffer, features: bigint): boolean {
  const header = headerLength(features);
  const mergeable = has(features, VIRTIO_NET_F_MRG_RXBUF);
  const length = header + frame.length;
  const before = queue.base;
  const chains: Chain[] = [];
  let pieces = 0;
  for (let room = 0; room < length && (mergeable || chains.length === 0); ) {
    const chain = popOrAsk(queue);
    if (!chain) {
      // All or nothing, as DPDK's reserve_avail_buf has it: what is there waits for the rest.
      queue.rewind(before);
      return false;
    }
    chains.push(chain);
    pieces += chain.in.length;
    demandRoom(chain, header, pieces);
    room += roomOf(chain);
  }
  const bytes = Buffer.concat([virtioNetHeader(header, chains.length), frame]);
  let at = 0;
  for (const [i, chain] of chains.entries()) {
    const end = i === chains.length - 1 ? length : at + roomOf(chain);
    queue.push(chain, queue.writeIn(chain, bytes.subarray(at, end)));
    at = end;
  }
  return true;
}

function demandRoom(chain: Chain, header: number, pieces: number): void {
  if (roomOf(chain) < header)
    throw new VirtioError(
      'ERR_CHAIN_BYTES',
      `receive buffer ${chain.head} with room for ${roomOf(chain)} bytes`,
      `at least the ${header} of a virtio-net header (virtio 1.2, 5.1.6.3.1)`,
    );
  if (pieces > MAX_PIECES)
    throw new VirtioError(
      'ERR_CHAIN_LENGTH',
      `a frame takes more than ${MAX_PIECES} pieces of receive buffers`,
      'make larger buffers available',
    );
}
