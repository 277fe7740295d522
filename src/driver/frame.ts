import type { Piece } from './driver-ring.js';

/** Length of the virtio-net header with VERSION_1 (virtio 1.2, 5.1.6.1). */
export const HEADER_LENGTH = 12;

/**
 * How the driver lays a frame out. `whole`: header and frame in one piece, as Linux does where there is room before the
 * frame. `apart`: two pieces, as where there is none. `halves`: whole when sent, and received into buffers that are too small
 * for a frame, which the device has to merge.
 */
export const frameShapes = ['whole', 'apart', 'halves'] as const;
export type FrameShape = (typeof frameShapes)[number];

/** Pieces of a buffer that holds a frame with its header. */
export const pieceCount = (shape: FrameShape): number => (shape === 'apart' ? 2 : 1);

/** The pieces of one buffer. */
export function framePieces(shape: FrameShape, buffer: Piece): Piece[] {
  if (shape !== 'apart') return [buffer];
  const { addr, length } = buffer;
  return [
    { ...buffer, length: HEADER_LENGTH },
    { ...buffer, addr: addr + BigInt(HEADER_LENGTH), length: length - HEADER_LENGTH },
  ];
}
