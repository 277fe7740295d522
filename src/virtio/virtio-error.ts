/** Codes of what a driver's rings can do wrong. */
export type VirtioErrorCode =
  | 'ERR_RING_SIZE'
  | 'ERR_RING_ALIGNMENT'
  | 'ERR_RING_BASE'
  | 'ERR_AVAIL_JUMP'
  | 'ERR_DESCRIPTOR_RANGE'
  | 'ERR_DESCRIPTOR_STATE'
  | 'ERR_CHAIN_LENGTH'
  | 'ERR_CHAIN_ORDER'
  | 'ERR_CHAIN_BYTES'
  | 'ERR_INDIRECT';

/** The driver broke the rules of the virtqueue: what was read cannot be served. */
export class VirtioError extends Error {
  constructor(
    readonly code: VirtioErrorCode,
    message: string,
    readonly hint: string,
  ) {
    super(message);
    this.name = 'VirtioError';
  }
}
