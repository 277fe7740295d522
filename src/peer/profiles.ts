/** What a peer offers: data recorded from the real programs, byte for byte what they answered to QEMU. */
export interface Profile {
  name: string;
  /** The program it stands for. */
  program: string;
  /** Answer to GET_FEATURES. */
  features: bigint;
  /** The same where the peer listens, if that differs: OVS prepares a dpdkvhostuser port apart from a dpdkvhostuserclient one. */
  listeningFeatures?: bigint;
  /** Answer to GET_PROTOCOL_FEATURES. */
  protocolFeatures: bigint;
  /** Answer to GET_QUEUE_NUM: queue pairs. */
  queuePairs: number;
  /** Answer to GET_MAX_MEM_SLOTS; asked only when CONFIGURE_MEM_SLOTS is offered. */
  memSlots: number;
  /**
   * Whether it answers GET_VRING_BASE of a packed ring with both halves of the index, as the specification has it. DPDK
   * tells the available half only (vhost_user_get_vring_base of lib/vhost/vhost_user.c).
   */
  wholeBase: boolean;
}

/** MQ LOG_SHMFD RARP REPLY_ACK NET_MTU BACKEND_REQ CRYPTO_SESSION BACKEND_SEND_FD HOST_NOTIFIER STATUS. */
const DPDK_PROTOCOL_FEATURES = 0x10cbfn;

const dpdk = (name: string, program: string, features: bigint, listeningFeatures?: bigint): Profile => ({
  name,
  program,
  features,
  ...(listeningFeatures === undefined ? {} : { listeningFeatures }),
  protocolFeatures: DPDK_PROTOCOL_FEATURES,
  queuePairs: 0x80,
  memSlots: 8,
  wholeBase: false,
});

/** What a peer offers more than its profile, and what less: masks. */
export interface Offer {
  with?: bigint;
  without?: bigint;
}

/** How what a peer offers differs from its profile. */
export interface Deviation {
  features?: Offer;
  protocolFeatures?: Offer;
  queuePairs?: number;
  memSlots?: number;
  wholeBase?: boolean;
}

const change = (bits: bigint, { with: more = 0n, without: less = 0n }: Offer = {}): bigint => (bits | more) & ~less;

/** The profile with a deviation; where it listens too. */
export const deviate = (profile: Profile, deviation: Deviation): Profile => ({
  ...profile,
  features: change(profile.features, deviation.features),
  ...(profile.listeningFeatures === undefined
    ? {}
    : { listeningFeatures: change(profile.listeningFeatures, deviation.features) }),
  protocolFeatures: change(profile.protocolFeatures, deviation.protocolFeatures),
  queuePairs: deviation.queuePairs ?? profile.queuePairs,
  memSlots: deviation.memSlots ?? profile.memSlots,
  wholeBase: deviation.wholeBase ?? profile.wholeBase,
});

/** What a peer offers on the sockets that it listens on. */
export const whenListening = (profile: Profile): Profile => ({
  ...profile,
  features: profile.listeningFeatures ?? profile.features,
});

/** The profiles by name. */
export const profiles: Readonly<Record<string, Profile>> = Object.fromEntries(
  [
    dpdk('ovs-dpdk-2.15', 'Open vSwitch 2.15.0, DPDK 20.11.10', 0xd7c66a7can),
    dpdk('ovs-dpdk-3.1', 'Open vSwitch 3.1.0, DPDK 22.11', 0xd7c66a7can),
    dpdk('ovs-dpdk-3.5', 'Open vSwitch 3.5.0, DPDK 24.11.4', 0xd7c66a7cbn, 0xd7c66a7can),
    dpdk('ovs-dpdk-4.0', 'Open vSwitch 4.0.0, DPDK 25.11.4', 0xd7c66a7cbn, 0xd7c66a7can),
    dpdk('testpmd-22.11', 'dpdk-testpmd 22.11', 0xd7c66e7cbn),
  ].map((profile) => [profile.name, profile]),
);

/** The profile that cases run with unless they or the user say otherwise. */
export const DEFAULT_PROFILE = 'ovs-dpdk-3.1';
