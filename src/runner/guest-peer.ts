import { FrameTraffic, Peer, type PeerOptions } from '../peer/index.js';
import { completeChecksum, Switch } from '../switch/index.js';

/** A back-end that is the switch of one guest, with a host that the guest can ping. */
export function guestPeer(options: PeerOptions): Peer<FrameTraffic> {
  const { recorder } = options;
  const traffic = new FrameTraffic(({ bytes, checksum, oversized }) => {
    if (checksum) completeChecksum(bytes, checksum.start, checksum.offset);
    // No segmentation is offered.
    if (!oversized) port.receive(bytes);
  });
  const peer = new Peer(options, traffic);
  const network = new Switch({
    now: () => recorder.now(),
    note: (notice) => {
      const session = peer.session?.number;
      if (notice.kind !== 'echo' || session === undefined) return;
      const { from, id, seq } = notice;
      recorder.record({ type: 'guest.echo', from, id, seqs: [[seq, seq]], session });
    },
  });
  const port = network.connect('guest', (frame) => {
    // Nobody is there to take it.
    if (!peer.session?.runningRings.some(({ dir }) => dir === 'rx')) return;
    traffic.send(frame);
    peer.pumpRx();
  });
  recorder.listen((event) => {
    if (event.type === 'session.close' && !event.extra) traffic.clear();
  });
  return peer;
}
