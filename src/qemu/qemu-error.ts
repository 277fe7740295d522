/** Codes of what goes wrong with a QEMU or in talking to it. */
export type QemuErrorCode =
  /** No QEMU where it was looked for. */
  | 'ERR_QEMU_NOT_FOUND'
  /** The program is something else. */
  | 'ERR_NOT_QEMU'
  /** It says that it is QEMU, but it could not be asked what it can do. */
  | 'ERR_QEMU_PROBE'
  /** This QEMU lacks what was asked for (a version, a device, a resolution of the reconnect interval). */
  | 'ERR_QEMU_UNSUPPORTED'
  /** This QEMU lacks the machine type. */
  | 'ERR_QEMU_MACHINE'
  /** This QEMU lacks the accelerator. */
  | 'ERR_QEMU_ACCEL'
  /** The process could not be started. */
  | 'ERR_QEMU_START'
  /** The process ended before it did what it was started for. */
  | 'ERR_QEMU_EXITED'
  /** QMP refused a command: see QmpError. */
  | 'ERR_QMP'
  /** The run's folder cannot be made, or not with this name. */
  | 'ERR_WORKSPACE'
  /** The monitor's or qtest's socket closed: QEMU is gone, or it hung up. */
  | 'ERR_QEMU_SOCKET'
  /** An answer that nothing asked for, or one that does not have its form. */
  | 'ERR_QEMU_PROTOCOL'
  /** qtest refused a command. */
  | 'ERR_QTEST';

/** The one error of this folder. */
export class QemuError extends Error {
  constructor(
    readonly code: QemuErrorCode,
    message: string,
    readonly hint: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.name = 'QemuError';
  }
}
