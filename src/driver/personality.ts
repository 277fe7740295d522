import {
  bit,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_ORDER_PLATFORM,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_VERSION_1,
  VIRTIO_NET_F_CSUM,
  VIRTIO_NET_F_CTRL_GUEST_OFFLOADS,
  VIRTIO_NET_F_CTRL_MAC_ADDR,
  VIRTIO_NET_F_CTRL_RX,
  VIRTIO_NET_F_CTRL_VLAN,
  VIRTIO_NET_F_CTRL_VQ,
  VIRTIO_NET_F_GUEST_CSUM,
  VIRTIO_NET_F_GUEST_ECN,
  VIRTIO_NET_F_GUEST_TSO4,
  VIRTIO_NET_F_GUEST_TSO6,
  VIRTIO_NET_F_GUEST_UFO,
  VIRTIO_NET_F_GUEST_USO4,
  VIRTIO_NET_F_GUEST_USO6,
  VIRTIO_NET_F_HOST_ECN,
  VIRTIO_NET_F_HOST_TSO4,
  VIRTIO_NET_F_HOST_TSO6,
  VIRTIO_NET_F_HOST_UFO,
  VIRTIO_NET_F_HOST_USO,
  VIRTIO_NET_F_MAC,
  VIRTIO_NET_F_MQ,
  VIRTIO_NET_F_MRG_RXBUF,
  VIRTIO_NET_F_MTU,
  VIRTIO_NET_F_SPEED_DUPLEX,
  VIRTIO_NET_F_STATUS,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
} from '../wire/index.js';

/** Whose behaviour the driver imitates. */
export type PersonalityName = 'linux';

/** How a guest's driver negotiates. */
export interface Personality {
  /** Feature bits it accepts when offered, as a mask. */
  accepts: bigint;
}

const mask = (...bits: number[]): bigint => bits.reduce((sum, number) => sum | bit(number), 0n);

/**
 * Linux: features[] of drivers/net/virtio_net.c and vring_transport_features() of drivers/virtio/virtio_ring.c. Left out:
 * GUEST_ANNOUNCE, so that QEMU announces by SEND_RARP, a message the tester can provoke while all is quiet; RSS and
 * HASH_REPORT, which change the header; RING_RESET and notification coalescing, which this driver does not do.
 */
export const personalities: Readonly<Record<PersonalityName, Personality>> = {
  linux: {
    accepts: mask(
      VIRTIO_NET_F_CSUM,
      VIRTIO_NET_F_GUEST_CSUM,
      VIRTIO_NET_F_CTRL_GUEST_OFFLOADS,
      VIRTIO_NET_F_MTU,
      VIRTIO_NET_F_MAC,
      VIRTIO_NET_F_GUEST_TSO4,
      VIRTIO_NET_F_GUEST_TSO6,
      VIRTIO_NET_F_GUEST_ECN,
      VIRTIO_NET_F_GUEST_UFO,
      VIRTIO_NET_F_GUEST_USO4,
      VIRTIO_NET_F_GUEST_USO6,
      VIRTIO_NET_F_HOST_TSO4,
      VIRTIO_NET_F_HOST_TSO6,
      VIRTIO_NET_F_HOST_ECN,
      VIRTIO_NET_F_HOST_UFO,
      VIRTIO_NET_F_HOST_USO,
      VIRTIO_NET_F_MRG_RXBUF,
      VIRTIO_NET_F_STATUS,
      VIRTIO_NET_F_CTRL_VQ,
      VIRTIO_NET_F_CTRL_RX,
      VIRTIO_NET_F_CTRL_VLAN,
      VIRTIO_NET_F_CTRL_MAC_ADDR,
      VIRTIO_NET_F_MQ,
      VIRTIO_NET_F_SPEED_DUPLEX,
      VIRTIO_RING_F_INDIRECT_DESC,
      VIRTIO_RING_F_EVENT_IDX,
      VIRTIO_F_VERSION_1,
      VIRTIO_F_RING_PACKED,
      VIRTIO_F_ACCESS_PLATFORM,
      VIRTIO_F_ORDER_PLATFORM,
    ),
  },
};
