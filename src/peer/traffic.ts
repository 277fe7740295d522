import { type Recorder, toRanges } from '../timeline/index.js';
import { buildPacket, parsePacket, virtioNetHeader } from '../virtio/index.js';
import { headerLength, type Vring } from './vring.js';

/**
 * The peer's end of the traffic: checks what the guest transmits, injects what it shall receive. It outlives the sessions,
 * so packets that found no buffer, or no peer, wait here for the next one.
 */
export class PeerTraffic {
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

  /** Ends holdTx. */
  releaseTx(): void {
    this.#txBudget = Infinity;
  }

  /** Moves packets on a running ring. @returns true when the driver wants to be interrupted. @throws VirtioError */
  pump(ring: Vring, features: bigint, session: number): boolean {
    return ring.dir === 'tx' ? this.#takeTx(ring, features, session) : this.#putRx(ring, features, session);
  }

  #takeTx(ring: Vring, features: bigint, session: number): boolean {
    const queue = ring.queue!;
    const header = headerLength(features);
    const seqs: number[] = [];
    let corrupt = 0;
    let taken = 0;
    do {
      while (this.#txBudget > 0) {
        const chain = queue.pop();
        if (!chain) break;
        this.#txBudget--;
        taken++;
        const packet = parsePacket(queue.readOut(chain).subarray(header));
        if (packet?.dir === 'tx' && packet.pair === ring.pair) seqs.push(packet.seq);
        else corrupt++;
        queue.push(chain.head, 0);
      }
      // Ask for a kick first and look again after: a buffer made available in between would otherwise wait for ever.
    } while (this.#txBudget > 0 && !queue.enableNotify());
    if (taken === 0) return false;
    queue.publish();
    this.#recorder.record({ type: 'packets.seen', dir: 'tx', pair: ring.pair, seqs: toRanges(seqs), corrupt, session });
    return queue.needsCall();
  }

  #putRx(ring: Vring, features: bigint, session: number): boolean {
    const queue = ring.queue!;
    const pending = this.#pending.get(ring.pair) ?? [];
    const sent: number[] = [];
    do {
      while (pending.length > 0) {
        const chain = queue.pop();
        if (!chain) break;
        const seq = pending[0]!;
        const bytes = Buffer.concat([
          virtioNetHeader(headerLength(features)),
          buildPacket({ dir: 'rx', pair: ring.pair, seq }),
        ]);
        queue.push(chain.head, queue.writeIn(chain, bytes));
        pending.shift();
        sent.push(seq);
      }
    } while (pending.length > 0 && !queue.enableNotify());
    if (sent.length === 0) return false;
    queue.publish();
    this.#recorder.record({ type: 'packets.sent', dir: 'rx', pair: ring.pair, seqs: toRanges(sent), session });
    return queue.needsCall();
  }
}
