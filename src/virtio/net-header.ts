/** Offset of num_buffers in the 12-byte header. */
const NUM_BUFFERS = 10;

/**
 * The header before a frame that needs no offload (virtio 1.2, 5.1.6): all zero, save that num_buffers, which only the
 * 12-byte form has, is 1. `length` is 12 with VERSION_1 or MRG_RXBUF, else 10.
 */
export function virtioNetHeader(length: 10 | 12): Buffer {
  const header = Buffer.alloc(length);
  if (length === 12) header.writeUInt16LE(1, NUM_BUFFERS);
  return header;
}
