import type { GuestMemory } from './guest-memory.js';
import {
  DESC_F_INDIRECT,
  DESC_F_NEXT,
  DESC_F_WRITE,
  DESCRIPTOR_SIZE,
  type Descriptor,
  decodeDescriptor,
} from './split-layout.js';
import { VirtioError } from './virtio-error.js';

/** A piece of guest memory by guest-physical address. */
export interface Segment {
  addr: bigint;
  length: number;
}

/** One buffer that the driver made available: `out` is for the device to read, `in` for it to write. */
export interface Chain {
  /** What the buffer is handed back by: the index of its first descriptor, on a packed ring its id. */
  head: number;
  /** Entries of the ring that it takes: one, save that a packed ring holds chained descriptors itself. */
  slots: number;
  out: Segment[];
  in: Segment[];
}

/** What a chain is resolved against. `table` is a copy of the descriptors: the driver cannot change them midway. */
export interface ChainContext {
  table: Buffer;
  size: number;
  /** Whether indirect descriptors were negotiated. */
  indirect: boolean;
  /** Where indirect tables are. */
  buffers: GuestMemory;
}

/**
 * Follows a chain of a split ring from `head`. Never reads more than queue-size descriptors, so a loop ends as
 * ERR_CHAIN_LENGTH. Rules: virtio 1.2, 2.7.4.2 (order), 2.7.5 (length), 2.7.5.3.1 (indirect). @throws VirtioError
 */
export function walkChain(head: number, { table, size, indirect, buffers }: ChainContext): Chain {
  const chain: Chain = { head, slots: 1, out: [], in: [] };
  const name = `chain ${head}`;
  let current = { table, entries: size };
  let index = head;
  for (let count = 0; ; ) {
    if (index >= current.entries)
      throw new VirtioError(
        'ERR_DESCRIPTOR_RANGE',
        `${name} names descriptor ${index} of a table of ${current.entries}`,
        'head and next must be below the table size',
      );
    const descriptor = decodeDescriptor(current.table, index);
    if (descriptor.flags & DESC_F_INDIRECT) {
      if (!indirect || current.table !== table) throw indirectError(name, 'where it is not allowed');
      current = readIndirect(name, descriptor, size, buffers);
      index = 0;
      continue;
    }
    if (++count > size) throw tooLong(name, size);
    append(chain, name, descriptor);
    if (!(descriptor.flags & DESC_F_NEXT)) return chain;
    index = descriptor.next;
  }
}

/** A descriptor as far as both layouts have the same. */
type Piece = Pick<Descriptor, 'addr' | 'length' | 'flags'>;

/** Adds a descriptor to a chain. `name` is the chain's, for errors. @throws VirtioError ERR_CHAIN_ORDER */
export function append(chain: Chain, name: string, { addr, length, flags }: Piece): void {
  if (flags & DESC_F_WRITE) chain.in.push({ addr, length });
  else if (chain.in.length === 0) chain.out.push({ addr, length });
  else
    throw new VirtioError(
      'ERR_CHAIN_ORDER',
      `${name} has a device-readable descriptor after a device-writable one`,
      'device-readable descriptors come first',
    );
}

/** Reads the table that an indirect descriptor names. @throws VirtioError ERR_INDIRECT, and what `buffers` throws */
export function readIndirect(name: string, { addr, length, flags }: Piece, size: number, buffers: GuestMemory) {
  if (flags & DESC_F_NEXT) throw indirectError(name, 'together with NEXT');
  const entries = length / DESCRIPTOR_SIZE;
  if (!Number.isInteger(entries) || entries < 1 || entries > size)
    throw indirectError(name, `of ${length} bytes, which is no table of 1 to ${size} descriptors`);
  return { table: buffers.read(addr, length), entries };
}

/** ERR_CHAIN_LENGTH. */
export function tooLong(name: string, size: number): VirtioError {
  return new VirtioError(
    'ERR_CHAIN_LENGTH',
    `${name} has more than ${size} descriptors`,
    'a chain is at most as long as the queue; this one probably loops',
  );
}

/** ERR_INDIRECT. */
export function indirectError(name: string, what: string): VirtioError {
  return new VirtioError(
    'ERR_INDIRECT',
    `${name} has an indirect descriptor ${what}`,
    'an indirect descriptor needs VIRTIO_RING_F_INDIRECT_DESC, ends its chain, and its table holds no further one',
  );
}
