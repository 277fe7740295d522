/** Width of a memory access: 1, 2, 4 or 8 bytes. */
export type AccessSize = 'b' | 'w' | 'l' | 'q';

/**
 * The machine as the driver reaches it: ports, memory, interrupt lines. Addresses are guest-physical. Accesses take effect
 * in the order of the calls, so a caller may start many and await them together. Every promise rejects with an Error that
 * has a `code` when the machine is gone.
 */
export interface GuestBus {
  /** Whether the machine is there. */
  readonly connected: boolean;
  /** Resolves, never rejects, with the reason when the machine is gone. */
  readonly lost: Promise<Error>;
  inl(port: number): Promise<number>;
  outl(port: number, value: number): Promise<void>;
  readMem(size: AccessSize, addr: bigint): Promise<bigint>;
  writeMem(size: AccessSize, addr: bigint, value: bigint): Promise<void>;
  readBytes(addr: bigint, length: number): Promise<Buffer>;
  writeBytes(addr: bigint, bytes: Buffer): Promise<void>;
  fill(addr: bigint, length: number, byte: number): Promise<void>;
  /** Diverts the input lines of the interrupt controller with this name to onIrq. */
  interceptIrq(device: string): Promise<void>;
  /** @returns a function that ends it. */
  onIrq(listener: (line: number, raised: boolean) => void): () => void;
}
