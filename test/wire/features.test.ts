import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  bit,
  featureNames,
  protocolFeatureNames,
  protocolFeatures,
  VHOST_F_LOG_ALL,
  VHOST_USER_F_PROTOCOL_FEATURES,
  VIRTIO_F_VERSION_1,
  VIRTIO_NET_F_MQ,
  vhostFeatures,
  virtioFeatures,
  virtioNetFeatures,
} from '../../src/wire/index.js';

describe('feature bits', () => {
  it('have their numbers', () => {
    expect(VIRTIO_NET_F_MQ).toBe(22);
    expect(VHOST_F_LOG_ALL).toBe(26);
    expect(VHOST_USER_F_PROTOCOL_FEATURES).toBe(30);
    expect(VIRTIO_F_VERSION_1).toBe(32);
    expect(bit(VIRTIO_F_VERSION_1)).toBe(0x100000000n);
  });

  it('are named in the features that QEMU 7.2 accepts from OVS', () => {
    expect(featureNames(0x17020a782n)).toEqual([
      'VIRTIO_NET_F_GUEST_CSUM',
      'VIRTIO_NET_F_GUEST_TSO4',
      'VIRTIO_NET_F_GUEST_TSO6',
      'VIRTIO_NET_F_GUEST_ECN',
      'VIRTIO_NET_F_GUEST_UFO',
      'VIRTIO_NET_F_HOST_ECN',
      'VIRTIO_NET_F_MRG_RXBUF',
      'VIRTIO_NET_F_GUEST_ANNOUNCE',
      'VIRTIO_RING_F_INDIRECT_DESC',
      'VIRTIO_RING_F_EVENT_IDX',
      'VHOST_USER_F_PROTOCOL_FEATURES',
      'VIRTIO_F_VERSION_1',
    ]);
  });

  it('are named in the protocol features of OVS', () => {
    expect(protocolFeatureNames(0x10cbfn)).toEqual([
      'VHOST_USER_PROTOCOL_F_MQ',
      'VHOST_USER_PROTOCOL_F_LOG_SHMFD',
      'VHOST_USER_PROTOCOL_F_RARP',
      'VHOST_USER_PROTOCOL_F_REPLY_ACK',
      'VHOST_USER_PROTOCOL_F_MTU',
      'VHOST_USER_PROTOCOL_F_BACKEND_REQ',
      'VHOST_USER_PROTOCOL_F_CRYPTO_SESSION',
      'VHOST_USER_PROTOCOL_F_BACKEND_SEND_FD',
      'VHOST_USER_PROTOCOL_F_HOST_NOTIFIER',
      'VHOST_USER_PROTOCOL_F_STATUS',
    ]);
  });

  it('have virtio’s name where vhost has the same bit', () => {
    expect(featureNames(bit(vhostFeatures.VHOST_NET_F_VIRTIO_NET_HDR))).toEqual(['VIRTIO_F_ANY_LAYOUT']);
  });

  it('without a name are numbered', () => {
    expect(featureNames(bit(58))).toEqual(['#58']);
    expect(protocolFeatureNames(bit(63))).toEqual(['#63']);
    expect(featureNames(0n)).toEqual([]);
  });

  it('have one number each within a table, and the protocol table has no gap', () => {
    for (const table of [virtioFeatures, virtioNetFeatures, vhostFeatures, protocolFeatures]) {
      const numbers = Object.values(table);
      expect(new Set(numbers).size).toBe(numbers.length);
    }
    const sorted = Object.values(protocolFeatures).sort((a, b) => a - b);
    expect(sorted).toEqual(sorted.map((_, i) => i));
  });

  it('give back the bits of any set of names', () => {
    const numbers: Record<string, number> = { ...vhostFeatures, ...virtioNetFeatures, ...virtioFeatures };
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (bits) => {
        const back = featureNames(bits).map((name) => bit(numbers[name] ?? Number(name.slice(1))));
        expect(back.reduce((sum, mask) => sum | mask, 0n)).toBe(bits);
      }),
    );
  });
});
