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
  head: number;
  out: Segment[];
  in: Segment[];
}

/** What a chain is resolved against. `table` is a copy of the descriptor table: the driver cannot change it midway. */
export interface ChainContext {
  table: Buffer;
  size: number;
  /** Whether indirect descriptors were negotiated. */
  indirect: boolean;
  /** Where indirect tables are. */
  buffers: GuestMemory;
}

/**
 * Follows a chain from `head`. Never reads more than queue-size descriptors, so a loop ends as ERR_CHAIN_LENGTH.
 * Rules: virtio 1.2, 2.7.4.2 (order), 2.7.5 (length), 2.7.5.3.1 (indirect). @throws VirtioError
 */
export function walkChain(head: number, { table, size, indirect, buffers }: ChainContext): Chain {
  const chain: Chain = { head, out: [], in: [] };
  let current = { table, entries: size };
  let index = head;
  for (let count = 0; ; ) {
    if (index >= current.entries)
      throw new VirtioError(
        'ERR_DESCRIPTOR_RANGE',
        `chain ${head} names descriptor ${index} of a table of ${current.entries}`,
        'head and next must be below the table size',
      );
    const descriptor = decodeDescriptor(current.table, index);
    if (descriptor.flags & DESC_F_INDIRECT) {
      if (!indirect || current.table !== table) throw indirectError(head, 'where it is not allowed');
      current = readIndirect(head, descriptor, size, buffers);
      index = 0;
      continue;
    }
    if (++count > size)
      throw new VirtioError(
        'ERR_CHAIN_LENGTH',
        `chain ${head} has more than ${size} descriptors`,
        'a chain is at most as long as the queue; this one probably loops',
      );
    append(chain, descriptor);
    if (!(descriptor.flags & DESC_F_NEXT)) return chain;
    index = descriptor.next;
  }
}

function append(chain: Chain, { addr, length, flags }: Descriptor): void {
  if (flags & DESC_F_WRITE) chain.in.push({ addr, length });
  else if (chain.in.length === 0) chain.out.push({ addr, length });
  else
    throw new VirtioError(
      'ERR_CHAIN_ORDER',
      `chain ${chain.head} has a device-readable descriptor after a device-writable one`,
      'device-readable descriptors come first',
    );
}

function readIndirect(head: number, { addr, length, flags }: Descriptor, size: number, buffers: GuestMemory) {
  if (flags & DESC_F_NEXT) throw indirectError(head, 'together with NEXT');
  const entries = length / DESCRIPTOR_SIZE;
  if (!Number.isInteger(entries) || entries < 1 || entries > size)
    throw indirectError(head, `of ${length} bytes, which is no table of 1 to ${size} descriptors`);
  return { table: buffers.read(addr, length), entries };
}

function indirectError(head: number, what: string): VirtioError {
  return new VirtioError(
    'ERR_INDIRECT',
    `chain ${head} has an indirect descriptor ${what}`,
    'an indirect descriptor needs VIRTIO_RING_F_INDIRECT_DESC, ends its chain, and its table holds no further one',
  );
}
