import type { WrittenPages } from '../peer/index.js';
import { PAGE_SIZE } from './stream.js';

const ZEROS = Buffer.alloc(PAGE_SIZE);

/** The memory of one block as a destination has it: the last content of each page, and how often it came. */
export class ReceivedPages {
  readonly #pages = new Map<number, { times: number; content: Buffer }>();
  /** Pages that came, each time counted. */
  total = 0;

  /** @param content undefined = zeros */
  add(offset: number, content: Buffer | undefined): void {
    const times = this.times(offset) + 1;
    this.#pages.set(offset, { times, content: content ?? ZEROS });
    this.total++;
  }

  /** How often a page came. */
  times(offset: number): number {
    return this.#pages.get(offset)?.times ?? 0;
  }

  /** The 16-bit word at an offset that is a multiple of 2, little-endian; undefined when its page did not come. */
  word(offset: number): number | undefined {
    return this.#pages.get(offset - (offset % PAGE_SIZE))?.content.readUInt16LE(offset % PAGE_SIZE);
  }

  /** Pages that came more than once. */
  get repeated(): number {
    return [...this.#pages.values()].filter(({ times }) => times > 1).length;
  }

  /**
   * Compares what a back-end wrote with what came.
   * @returns `again`: how many of its pages came before and after it wrote them; `stale`: addresses of those whose last
   * content is not what it wrote, or that never came
   */
  compare(written: WrittenPages): { pages: number; again: number; stale: bigint[] } {
    let again = 0;
    const stale: bigint[] = [];
    for (const { addr, before, bytes, mask } of written.pages()) {
      const page = this.#pages.get(Number(addr));
      if (before > 0 && (page?.times ?? 0) > before) again++;
      if (!page || bytes.some((byte, i) => mask[i] === 1 && byte !== page.content[i])) stale.push(addr);
    }
    return { pages: written.count, again, stale };
  }
}
