import { VirtioError } from '../virtio/index.js';
import { deliver, popOrAsk, type Traffic } from './traffic.js';
import { headerLength, type Vring } from './vring.js';

/** A frame of a guest, as it came off a ring, with what of it was left to the device (virtio 1.2, 5.1.6.2). */
export interface GuestFrame {
  /** From the Ethernet header on, without the virtio-net header. */
  bytes: Buffer;
  /** The Internet checksum over what follows `start` is to be stored `offset` bytes behind it (VIRTIO_NET_HDR_F_NEEDS_CSUM). */
  checksum?: { start: number; offset: number };
  /** It is larger than the wire takes and is to be cut up (gso_type is not NONE). */
  oversized: boolean;
}

const NEEDS_CSUM = 1;

/** Frames that wait for buffers of the guest; more are dropped, as a full queue of a switch drops them. */
const MAX_WAITING = 512;

/** The peer's end of a real guest's traffic: frames as they are, for a switch behind it. */
export class FrameTraffic implements Traffic {
  #waiting: Buffer[] = [];
  readonly #receive: (frame: GuestFrame, session: number) => void;
  /** Frames that the guest had no buffers for. */
  overruns = 0;

  /** @param receive called with each frame of the guest; must not throw */
  constructor(receive: (frame: GuestFrame, session: number) => void) {
    this.#receive = receive;
  }

  /** Queues a frame for the guest; Peer.pumpRx() injects it. */
  send(bytes: Buffer): void {
    if (this.#waiting.length < MAX_WAITING) this.#waiting.push(bytes);
    else this.overruns++;
  }

  /** What waits is dropped: nobody is there to take it. */
  clear(): void {
    this.#waiting = [];
  }

  releaseTx(): void {}

  pump(ring: Vring, features: bigint, session: number): boolean {
    return ring.dir === 'tx' ? this.#take(ring, features, session) : this.#put(ring, features);
  }

  #take(ring: Vring, features: bigint, session: number): boolean {
    const queue = ring.queue!;
    const header = headerLength(features);
    const frames: Buffer[] = [];
    for (let chain = popOrAsk(queue); chain; chain = popOrAsk(queue)) {
      // Nothing is given back meanwhile: more than the ring holds is a driver that overruns it, and there might be no end of it.
      if (frames.length >= ring.size)
        throw new VirtioError('ERR_AVAIL_JUMP', `more than ${ring.size} chains at once`, 'the driver overran its ring');
      frames.push(queue.readOut(chain));
      queue.push(chain, 0);
    }
    if (frames.length === 0) return false;
    queue.publish();
    const call = queue.needsCall();
    // Answers may be sent from within: the ring is done with by then.
    for (const frame of frames) if (frame.length >= header) this.#receive(parse(frame, header), session);
    return call;
  }

  #put(ring: Vring, features: bigint): boolean {
    const queue = ring.queue!;
    let sent = 0;
    while (this.#waiting.length > sent && deliver(queue, this.#waiting[sent]!, features)) sent++;
    if (sent === 0) return false;
    this.#waiting.splice(0, sent);
    queue.publish();
    return queue.needsCall();
  }
}

/** struct virtio_net_hdr: flags, gso_type, hdr_len, gso_size, csum_start, csum_offset. */
function parse(frame: Buffer, header: number): GuestFrame {
  const needs = (frame.readUInt8(0) & NEEDS_CSUM) !== 0;
  return {
    bytes: frame.subarray(header),
    ...(needs ? { checksum: { start: frame.readUInt16LE(6), offset: frame.readUInt16LE(8) } } : {}),
    oversized: frame.readUInt8(1) !== 0,
  };
}
