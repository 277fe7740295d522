/** Where the parts of a ring are, guest-physical: `avail` and `used` of a packed one are the two event suppressions. */
export interface RingAddresses {
  desc: bigint;
  avail: bigint;
  used: bigint;
}

/** Interrupt status bits (virtio 1.2, 4.1.4.5 and 4.2.2). */
export const ISR_CONFIG = 2;

/** The registers of a virtio device, whichever way it is attached. */
export interface Transport {
  /** Device status (virtio 1.2, 2.1). Writing 0 resets. */
  status(): Promise<number>;
  setStatus(status: number): Promise<void>;
  /** The feature bits offered, 64 of them. */
  offeredFeatures(): Promise<bigint>;
  acceptFeatures(features: bigint): Promise<void>;
  /** Largest size of a queue; 0 when there is no such queue. To be read before the queue is enabled or notified. */
  queueMax(index: number): Promise<number>;
  enableQueue(index: number, size: number, addresses: RingAddresses): Promise<void>;
  /** Tells the device that a queue has new buffers. */
  notify(index: number): Promise<void>;
  /** Reads and clears the interrupt status, which lowers the line. */
  acknowledge(): Promise<number>;
  /** The first `length` bytes of the device-specific configuration. */
  config(length: number): Promise<Buffer>;
}
