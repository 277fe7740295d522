/** Offset of num_buffers in the 12-byte header. */
const NUM_BUFFERS = 10;

/**
 * The header before a frame that needs no offload (virtio 1.2, 5.1.6): all zero, save that num_buffers, which only the
 * 12-byte form has, is `buffers`. `length` is 12 with VERSION_1 or MRG_RXBUF, else 10.
 */
export function virtioNetHeader(length: 10 | 12, buffers = 1): Buffer {
  const header = Buffer.alloc(length);
  if (length === 12) header.writeUInt16LE(buffers, NUM_BUFFERS);
  return header;
}

/** How many receive buffers a frame fills, by its 12-byte header (5.1.6.4). */
export const buffersOf = (header: Buffer): number => header.readUInt16LE(NUM_BUFFERS);
