/** Codes of why the driver cannot drive the device. */
export type DriverErrorCode =
  /** No virtio-net device where the machine has its devices. */
  | 'ERR_NO_DEVICE'
  /** The device lacks a register block, a feature or a queue that the driver needs, or refuses what was offered. */
  | 'ERR_DEVICE'
  /** The device handed back what the driver never gave it. */
  | 'ERR_RING'
  /** Guest RAM is too small for the rings and buffers. */
  | 'ERR_MEMORY'
  /** The driver is not running: not started, reset or closed. */
  | 'ERR_NOT_RUNNING';

/** The one error of this folder. */
export class DriverError extends Error {
  constructor(
    readonly code: DriverErrorCode,
    message: string,
    readonly hint: string,
  ) {
    super(message);
    this.name = 'DriverError';
  }
}
