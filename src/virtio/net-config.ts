/** Offsets in the virtio-net configuration space (virtio 1.2, 5.1.4). */
const MAC = 0;
const STATUS = 6;
const MAX_PAIRS = 8;
const MTU = 10;
const STATUS_LINK_UP = 1;

/** Bytes of the configuration space that parseNetConfig reads: mac, status, max_virtqueue_pairs, mtu. */
export const NET_CONFIG_SIZE = 12;

/**
 * What the driver uses of it. `mac` is valid with VIRTIO_NET_F_MAC, `linkUp` with VIRTIO_NET_F_STATUS, `maxPairs` with
 * VIRTIO_NET_F_MQ, `mtu` with VIRTIO_NET_F_MTU.
 */
export interface NetConfig {
  /** As `52:54:00:12:34:56`. */
  mac: string;
  linkUp: boolean;
  maxPairs: number;
  mtu: number;
}

/** Decodes the first NET_CONFIG_SIZE bytes. */
export function parseNetConfig(bytes: Buffer): NetConfig {
  return {
    mac: [...bytes.subarray(MAC, STATUS)].map((byte) => byte.toString(16).padStart(2, '0')).join(':'),
    linkUp: (bytes.readUInt16LE(STATUS) & STATUS_LINK_UP) !== 0,
    maxPairs: bytes.readUInt16LE(MAX_PAIRS),
    mtu: bytes.readUInt16LE(MTU),
  };
}
