/** Commands on the control queue (virtio 1.2, 5.1.6.5): u8 class, u8 command, data; the device writes one ack byte. */
const CLASS_MQ = 4;
const MQ_VQ_PAIRS_SET = 0;

/** The ack of a command that was carried out. */
export const CONTROL_OK = 0;
/** What the driver puts into the ack byte, so that an untouched one is told from an answer. */
export const CONTROL_UNANSWERED = 0xff;

/** A control command as its device-readable parts. */
export interface ControlCommand {
  header: Buffer;
  data: Buffer;
}

/** VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET: use `pairs` queue pairs (5.1.6.5.5). */
export function mqPairsSet(pairs: number): ControlCommand {
  const data = Buffer.alloc(2);
  data.writeUInt16LE(pairs);
  return { header: Buffer.of(CLASS_MQ, MQ_VQ_PAIRS_SET), data };
}

/** Index of the control queue: after all pairs the device could have, whether used or not (5.1.2). */
export const controlQueueIndex = (maxPairs: number): number => 2 * maxPairs;
