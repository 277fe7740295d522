import { append, type Chain, type ChainContext, indirectError, readIndirect, tooLong } from './chain.js';
import { advance, decodePacked, isAvailable } from './packed-layout.js';
import { DESC_F_INDIRECT, DESC_F_NEXT } from './split-layout.js';
import { VirtioError } from './virtio-error.js';

/**
 * Follows a chain of a packed ring from a place whose descriptor is available: chained descriptors are neighbours, and the
 * last one has the buffer's id. Never reads more than queue-size descriptors. Rules: virtio 1.2, 2.8.6 (chains) and 2.8.7
 * (indirect). @throws VirtioError
 */
export function walkPackedChain(place: number, { table, size, indirect, buffers }: ChainContext): Chain {
  const chain: Chain = { head: 0, slots: 0, out: [], in: [] };
  const name = `chain at ${place % size}`;
  for (let at = place; ; at = advance(at, 1, size)) {
    if (chain.slots === size) throw tooLong(name, size);
    const descriptor = decodePacked(table, at % size);
    if (!isAvailable(descriptor.flags, at, size))
      throw new VirtioError(
        'ERR_DESCRIPTOR_STATE',
        `${name} goes on in descriptor ${at % size}, which is not available`,
        'all descriptors of a chain are made available, the first one last',
      );
    chain.slots++;
    chain.head = descriptor.id;
    if (descriptor.flags & DESC_F_INDIRECT) {
      if (!indirect || chain.slots > 1) throw indirectError(name, 'where it is not allowed');
      followIndirect(chain, name, readIndirect(name, descriptor, size, buffers));
      return chain;
    }
    append(chain, name, descriptor);
    if (!(descriptor.flags & DESC_F_NEXT)) return chain;
  }
}

/** All entries of the table are the buffer: there is no NEXT in it (2.8.7). */
function followIndirect(chain: Chain, name: string, { table, entries }: { table: Buffer; entries: number }): void {
  for (let i = 0; i < entries; i++) {
    const descriptor = decodePacked(table, i);
    if (descriptor.flags & DESC_F_INDIRECT) throw indirectError(name, 'where it is not allowed');
    append(chain, name, descriptor);
  }
}
