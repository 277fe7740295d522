/**
 * Why a frame is dropped. `runt`: no whole Ethernet header. `multicast-source`, `host-source`: nobody may send from there.
 * `reserved`: to 01:80:c2:00:00:0x, which ends at every bridge (IEEE 802.1Q, 8.6.3). `same-port`: its receiver is where it comes
 * from. The others are the host's: `malformed`, `checksum` (a wrong one), `fragment`, `pool-exhausted`, and `unserved`, sent to
 * its MAC and nothing that it answers.
 */
export type DropReason =
  | 'runt'
  | 'multicast-source'
  | 'host-source'
  | 'reserved'
  | 'same-port'
  | 'malformed'
  | 'checksum'
  | 'fragment'
  | 'pool-exhausted'
  | 'unserved';

/** An echo request that the host answers, by its 16-bit id and sequence number; or an address that a guest has now, or still. */
export type HostNotice =
  | { kind: 'echo'; family: 'ipv4' | 'ipv6'; from: string; id: number; seq: number }
  | { kind: 'lease'; mac: string; address: string };

/** What happens at a port. `learned`: a MAC is there, `from` another port when it was known to be at that one. */
export type SwitchNotice =
  | { kind: 'learned'; port: string; mac: string; from?: string }
  | (HostNotice & { port: string });
