import { completeChecksum, type Direction, type Switch, type SwitchPort } from '../switch/index.js';
import { FrameTraffic } from './frames.js';
import { Peer, type PeerOptions } from './peer.js';

/** Shown each frame as it passes: `inbound` is the guest's. */
export type Tap = (direction: Direction, frame: Buffer) => void;

/** A peer whose guest is at a port of a switch. */
export class SwitchedPeer {
  readonly peer: Peer<FrameTraffic>;
  readonly #station: SwitchPort;
  /** Frames for a guest that had no running ring. */
  #unreachable = 0;

  /** @param name of the port @throws RangeError when the switch has one of that name */
  constructor(options: PeerOptions, network: Switch, name: string, tap: Tap = () => {}) {
    const traffic = new FrameTraffic(({ bytes, checksum, oversized }) => {
      if (checksum) completeChecksum(bytes, checksum.start, checksum.offset);
      tap('inbound', bytes);
      // No segmentation is offered; who sends such frames all the same is not served.
      if (!oversized) this.#station.receive(bytes);
    });
    this.peer = new Peer(options, traffic);
    this.#station = network.connect(name, (frame) => {
      const { session } = this.peer;
      if (session?.frozen !== false || !session.runningRings.some(({ dir }) => dir === 'rx')) {
        this.#unreachable++;
        return;
      }
      tap('outbound', frame);
      traffic.send(frame);
      this.peer.pumpRx();
    });
    options.recorder.listen((event) => {
      if (event.type === 'session.close' && (!event.extra || event.session === this.peer.session?.number))
        traffic.clear();
    });
  }

  /** Frames and bytes of the guest, as the switch counts them; and what was for a guest that could not get it. */
  get counters() {
    return { ...this.#station.counters, unreachable: this.#unreachable, overruns: this.peer.traffic.overruns };
  }

  /** Takes the guest from the switch: what comes from it, or is for it, is ignored from then on. */
  disconnect(): void {
    this.#station.disconnect();
  }
}
