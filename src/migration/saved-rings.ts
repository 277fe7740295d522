/** What virtio-net's state is called and which version it has (VIRTIO_NET_VM_VERSION), at the end of its section's head. */
const DEVICE = Buffer.from('virtio-net');
const VERSION = 11;

/** A ring as the guest set it up: `desc` is the guest address of its descriptors. */
export interface GuestRing {
  index: number;
  size: number;
  desc: bigint;
}

/**
 * Finds in the states of devices, as a stream has them behind the memory, where virtio-net says that its rings are: the index
 * of the next buffer to take (last_avail_idx), by ring. From hw/virtio/virtio.c#virtio_save, QEMU 5.2 to 11.1: of each ring its
 * size, on virtio-mmio its alignment, the address of its descriptors, the index. What is before them depends on the bus, so the
 * rings are looked for. @returns undefined when they are not all there, in a row
 */
export function savedRings(devices: Buffer, rings: readonly GuestRing[]): Map<number, number> | undefined {
  let at = devices.indexOf(DEVICE);
  while (at >= 0 && devices.readUInt32BE(Math.min(at + DEVICE.length + 4, devices.length - 4)) !== VERSION)
    at = devices.indexOf(DEVICE, at + 1);
  if (at < 0) return undefined;
  const found = new Map<number, number>();
  for (const { index, size, desc } of rings) {
    const head = Buffer.alloc(8);
    head.writeBigUInt64BE(desc);
    do at = devices.indexOf(head, at + 1);
    while (at >= 0 && ![4, 8].some((before) => devices.readUInt32BE(at - before) === size));
    if (at < 0 || at + head.length + 2 > devices.length) return undefined;
    found.set(index, devices.readUInt16BE(at + head.length));
  }
  return found;
}
