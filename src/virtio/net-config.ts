/** Offsets in the virtio-net configuration space (virtio 1.2, 5.1.4). */
const MAC = 0;
const STATUS = 6;
const MAX_PAIRS = 8;
const STATUS_LINK_UP = 1;
const STATUS_ANNOUNCE = 2;

/**
 * Bytes of the configuration space that parseNetConfig reads: mac, status, max_virtqueue_pairs. Not one more: an access that
 * crosses its end, which without an MTU is here, reads as ones.
 */
export const NET_CONFIG_SIZE = 10;

/**
 * What the driver uses of it. `mac` is valid with VIRTIO_NET_F_MAC, `linkUp` and
 * `announce` with VIRTIO_NET_F_STATUS, `maxPairs` with VIRTIO_NET_F_MQ.
 */
export interface NetConfig {
  mac: Buffer;
  linkUp: boolean;
  /** The guest is to announce itself: only where it accepted VIRTIO_NET_F_GUEST_ANNOUNCE (virtio 1.2, 5.1.6.5.4). */
  announce: boolean;
  maxPairs: number;
}

/** Decodes the first NET_CONFIG_SIZE bytes. */
export function parseNetConfig(bytes: Buffer): NetConfig {
  return {
    mac: bytes.subarray(MAC, STATUS),
    linkUp: (bytes.readUInt16LE(STATUS) & STATUS_LINK_UP) !== 0,
    announce: (bytes.readUInt16LE(STATUS) & STATUS_ANNOUNCE) !== 0,
    maxPairs: bytes.readUInt16LE(MAX_PAIRS),
  };
}
