import { MappedRegion } from '../../../src/os/index.js';
import type { GuestMemory } from '../../../src/virtio/index.js';
import type { Region } from '../../../src/wire/index.js';

/** Guest memory as SET_MEM_TABLE gives it. */
export class MappedMemory {
  #regions: (Region & { mapped: MappedRegion })[] = [];
  readonly byUserAddr = this.#view((region) => region.userAddr);
  readonly byGuestAddr = this.#view((region) => region.guestAddr);

  map(regions: readonly Region[], fds: readonly number[]): void {
    this.unmap();
    this.#regions = regions.map((region, i) => ({
      ...region,
      mapped: MappedRegion.map(fds[i]!, { size: region.size, offset: region.mmapOffset }),
    }));
  }

  unmap(): void {
    for (const { mapped } of this.#regions.splice(0)) mapped.unmap();
  }

  #view(base: (region: Region) => bigint): GuestMemory {
    const find = (addr: bigint) => {
      const region = this.#regions.find((r) => addr >= base(r) && addr < base(r) + r.size);
      if (!region) throw new Error(`0x${addr.toString(16)} is not mapped`);
      return { mapped: region.mapped, offset: Number(addr - base(region)) };
    };
    return {
      read: (addr, length) => {
        const { mapped, offset } = find(addr);
        return mapped.read(offset, length);
      },
      write: (addr, bytes) => {
        const { mapped, offset } = find(addr);
        mapped.write(offset, bytes);
      },
    };
  }
}
