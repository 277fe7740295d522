import {
  bit,
  VHOST_USER_PROTOCOL_F_CONFIG,
  VHOST_USER_PROTOCOL_F_STATUS,
  VIRTIO_F_RING_PACKED,
  VIRTIO_NET_F_MQ,
  VIRTIO_NET_F_MTU,
} from '../../../src/wire/index.js';

const bits = (...numbers: number[]): bigint => numbers.reduce((sum, number) => sum | bit(number), 0n);

/** What QEMU 10.0's virtio-net offers by itself on a modern transport (virtio 1.2, 5.1.3). */
const DEVICE_FEATURES = bits(0, 1, 2, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 23, 28, 29, 32);

/** What depends on the back-end too: user_feature_bits of QEMU's net/vhost-user.c. */
const BACKEND_FEATURES = bits(0, 1, 3, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 21, 22, 24, 27, 28, 29, 32, 33, 34, 56, 57);

/** Protocol features up to STATUS, as QEMU 10.0 knows them, without the one that it refuses for a network device. */
const PROTOCOL_FEATURES = (bit(VHOST_USER_PROTOCOL_F_STATUS + 1) - 1n) & ~bits(VHOST_USER_PROTOCOL_F_CONFIG);

/** Features that the device offers to the guest in front of this back-end. */
export function offeredFeatures(
  backend: bigint,
  { multiqueue, packed, mtu }: { multiqueue: boolean; packed: boolean; mtu: boolean },
): bigint {
  const own =
    DEVICE_FEATURES |
    (multiqueue ? bit(VIRTIO_NET_F_MQ) : 0n) |
    (packed ? bit(VIRTIO_F_RING_PACKED) : 0n) |
    (mtu ? bit(VIRTIO_NET_F_MTU) : 0n);
  return own & (backend | ~BACKEND_FEATURES);
}

/** The guest's features as far as the back-end is told of them. */
export const backendFeatures = (accepted: bigint): bigint => accepted & BACKEND_FEATURES;

/** Protocol features that the front-end takes of those offered. */
export const acceptedProtocolFeatures = (offered: bigint): bigint => offered & PROTOCOL_FEATURES;

/** Whether a bit is set. */
export const has = (features: bigint, number: number): boolean => (features & bit(number)) !== 0n;
