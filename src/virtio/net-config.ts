/** Offsets in the virtio-net configuration space (virtio 1.2, 5.1.4). */
const MAC = 0;
const STATUS = 6;
const MAX_PAIRS = 8;
const MTU = 10;
const STATUS_LINK_UP = 1;
const STATUS_ANNOUNCE = 2;

/**
 * Bytes of the configuration space that parseNetConfig reads: mac, status, max_virtqueue_pairs, and mtu where VIRTIO_NET_F_MTU is
 * offered. Not one more: an access that crosses its end, which without an MTU is here, reads as ones.
 */
export const netConfigSize = (hasMtu: boolean): number => (hasMtu ? MTU + 2 : MTU);

/**
 * What the driver uses of it. `mac` is valid with VIRTIO_NET_F_MAC, `linkUp` and
 * `announce` with VIRTIO_NET_F_STATUS, `maxPairs` with VIRTIO_NET_F_MQ; `mtu` is there with VIRTIO_NET_F_MTU.
 */
export interface NetConfig {
  mac: Buffer;
  linkUp: boolean;
  /** The guest is to announce itself: only where it accepted VIRTIO_NET_F_GUEST_ANNOUNCE (virtio 1.2, 5.1.6.5.4). */
  announce: boolean;
  maxPairs: number;
  mtu?: number;
}

/** Decodes the first netConfigSize() bytes. */
export function parseNetConfig(bytes: Buffer): NetConfig {
  return {
    mac: bytes.subarray(MAC, STATUS),
    linkUp: (bytes.readUInt16LE(STATUS) & STATUS_LINK_UP) !== 0,
    announce: (bytes.readUInt16LE(STATUS) & STATUS_ANNOUNCE) !== 0,
    maxPairs: bytes.readUInt16LE(MAX_PAIRS),
    ...(bytes.length > MTU ? { mtu: bytes.readUInt16LE(MTU) } : {}),
  };
}
