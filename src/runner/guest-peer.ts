import { type FrameTraffic, type Peer, type PeerOptions, SwitchedPeer } from '../peer/index.js';
import { Switch } from '../switch/index.js';

/** A back-end that is the switch of one guest, with a host that the guest can ping. */
export function guestPeer(options: PeerOptions): Peer<FrameTraffic> {
  const { recorder } = options;
  const network = new Switch({
    now: () => recorder.now(),
    note: (notice) => {
      const session = peer.session?.number;
      if (notice.kind !== 'echo' || session === undefined) return;
      const { from, id, seq } = notice;
      recorder.record({ type: 'guest.echo', from, id, seqs: [[seq, seq]], session });
    },
  });
  const { peer } = new SwitchedPeer(options, network, 'guest');
  return peer;
}
