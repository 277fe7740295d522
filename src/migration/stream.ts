import { MigrationError } from './error.js';

/** Bytes of a page of memory, as x86 migrates it (TARGET_PAGE_SIZE). */
export const PAGE_SIZE = 4096;

/** What begins each part of a stream (QEMU's migration/savevm.h). */
const part = {
  eof: 0x00,
  sectionStart: 0x01,
  sectionPart: 0x02,
  sectionEnd: 0x03,
  sectionFull: 0x04,
  subsection: 0x05,
  description: 0x06,
  configuration: 0x07,
  command: 0x08,
  footer: 0x7e,
} as const;

/** QEMU_VM_FILE_MAGIC, `QEVM`, and QEMU_VM_FILE_VERSION. */
const MAGIC = 0x5145_564d;
const VERSION = 3;

/** In the low bits of a page's offset (RAM_SAVE_FLAG_* of migration/ram.c). */
const ram = { zero: 0x02n, size: 0x04n, page: 0x08n, end: 0x10n, sameBlock: 0x20n } as const;
const FLAGS = BigInt(PAGE_SIZE - 1);

/** A block of memory that a stream announces: its name, and its length in bytes. */
export interface RamBlock {
  name: string;
  length: number;
}

/** Told what a stream holds, as it comes. */
export interface StreamListener {
  /** A page: `offset` in bytes within its block, a multiple of PAGE_SIZE; `content` undefined for one of zeros. */
  page(block: string, offset: number, content: Buffer | undefined): void;
}

/** A part of the stream as the generator sees it: it yields how many bytes it needs, and gets them. */
type Reading<T = void> = Generator<number, T, Buffer>;

/**
 * Reads what a migrating QEMU sends, in whichever pieces it comes: the blocks of guest memory and their pages, as often as each
 * is sent. The states of devices, which follow the memory, have no form that can be told without the devices; they are kept, and
 * looked at for the end only. From migration/savevm.c and migration/ram.c, QEMU 5.2 to 11.1.
 */
export class MigrationStream {
  readonly #listener: StreamListener;
  readonly #blocks = new Map<string, RamBlock>();
  readonly #parser: Reading;
  /** The block of the last page, also across sections: a page of the same need not name it. */
  #block = '';
  #wanted: number | undefined;
  #pending: Buffer = Buffer.alloc(0);
  /** What came after the memory. */
  #rest: Buffer[] = [];

  constructor(listener: StreamListener) {
    this.#listener = listener;
    this.#parser = this.#memory();
    this.#wanted = this.#parser.next().value as number;
  }

  /** The blocks that were announced, in the stream's order. */
  get blocks(): readonly RamBlock[] {
    return [...this.#blocks.values()];
  }

  /**
   * Whether all is there: the memory to its end, the devices, and what a stream ends with, which is the description of the
   * devices or, from a machine that has none, the end mark.
   */
  get complete(): boolean {
    if (this.#wanted !== undefined) return false;
    const rest = this.devices;
    if (rest.at(-1) === part.eof) return true;
    for (let at = rest.indexOf(part.description); at > 0; at = rest.indexOf(part.description, at + 1)) {
      const text = at + 5;
      if (rest[at - 1] === part.eof && text <= rest.length && rest.readUInt32BE(at + 1) === rest.length - text)
        return rest[text] === 0x7b && rest.at(-1) === 0x7d;
    }
    return false;
  }

  /** What came after the memory: the states of the devices, and what the stream ends with. */
  get devices(): Buffer {
    return Buffer.concat(this.#rest);
  }

  /** Takes the next bytes. @throws MigrationError; nothing can be pushed after that */
  push(bytes: Buffer): void {
    if (this.#wanted === undefined) {
      this.#rest.push(bytes);
      return;
    }
    const all = this.#pending.length === 0 ? bytes : Buffer.concat([this.#pending, bytes]);
    let at = 0;
    while (this.#wanted !== undefined && at + this.#wanted <= all.length) {
      const piece = all.subarray(at, at + this.#wanted);
      at += this.#wanted;
      const next = this.#parser.next(piece);
      this.#wanted = next.done ? undefined : next.value;
    }
    const left = Buffer.from(all.subarray(at));
    if (this.#wanted === undefined) this.#rest.push(left);
    else this.#pending = left;
  }

  /** The stream up to the end of the memory, and the byte that begins the next part. */
  *#memory(): Reading {
    const head: Buffer = yield 8;
    if (head.readUInt32BE(0) !== MAGIC || head.readUInt32BE(4) !== VERSION)
      throw new MigrationError(
        'ERR_MIGRATION_HEADER',
        `it begins with ${head.toString('hex')}`,
        'is this a migration?',
      );
    let section: number | undefined;
    for (let next = yield* u8(); ; next = yield* u8()) {
      if (next === part.configuration) yield* string(4);
      else if (next === part.subsection)
        throw new MigrationError(
          'ERR_MIGRATION_SECTION',
          'a subsection of the configuration',
          'a capability is set that changes the stream, or QEMU was started with -uuid',
        );
      else if (next === part.command) yield* command();
      else if (next === part.sectionStart) {
        section = yield* this.#start();
        yield* footer(section);
      } else if (next === part.sectionPart || next === part.sectionEnd) {
        const id = yield* u32();
        if (id !== section) throw unknown(`part of section ${id}`);
        yield* this.#pages();
        yield* footer(id);
        if (next === part.sectionEnd) return;
      } else throw unknown(`part 0x${next.toString(16)}`);
    }
  }

  /** The start of the section of memory: its blocks. @returns the section's number */
  *#start(): Reading<number> {
    const id = yield* u32();
    const name = yield* string(1);
    if (name !== 'ram') throw unknown(`the section ${name}`);
    // Instance and version.
    yield 8;
    yield* this.#pages();
    return id;
  }

  /** What a section of memory holds. */
  *#pages(): Reading {
    for (;;) {
      const word = yield* u64();
      const flags = word & FLAGS;
      if (flags === ram.end) return;
      if (flags === ram.size) {
        yield* this.#announced(Number(word - flags));
        continue;
      }
      const what = flags & ~ram.sameBlock;
      if (what !== ram.page && what !== ram.zero)
        throw new MigrationError(
          'ERR_MIGRATION_PAGE',
          `memory with the flags 0x${flags.toString(16)}`,
          'compression, multifd and postcopy must be off',
        );
      if ((flags & ram.sameBlock) === 0n) this.#block = yield* string(1);
      const block = this.#block;
      const { length } = this.#blocks.get(block) ?? { length: 0 };
      const offset = Number(word - flags);
      if (offset >= length)
        throw new MigrationError('ERR_MIGRATION_PAGE', `page 0x${offset.toString(16)} of "${block}"`, 'no such memory');
      // A page of zeros is told by one byte of them.
      const content: Buffer = yield what === ram.page ? PAGE_SIZE : 1;
      this.#listener.page(block, offset, what === ram.page ? Buffer.from(content) : undefined);
    }
  }

  /** The list of blocks, `total` bytes in all. */
  *#announced(total: number): Reading {
    for (let left = total; left > 0; ) {
      const name = yield* string(1);
      const length = Number(yield* u64());
      this.#blocks.set(name, { name, length });
      left -= length;
    }
  }
}

const unknown = (what: string) =>
  new MigrationError('ERR_MIGRATION_SECTION', `${what} where memory is due`, 'a form of the stream that is not known');

function* u8(): Reading<number> {
  return (yield 1)[0]!;
}

function* u32(): Reading<number> {
  return (yield 4).readUInt32BE(0);
}

function* u64(): Reading<bigint> {
  return (yield 8).readBigUInt64BE(0);
}

/** A string behind its length, which takes so many bytes. */
function* string(width: 1 | 4): Reading<string> {
  const length = width === 1 ? yield* u8() : yield* u32();
  return length === 0 ? '' : (yield length).toString('latin1');
}

/** QEMU_VM_COMMAND: number, length, data. */
function* command(): Reading {
  const length = (yield 4).readUInt16BE(2);
  if (length > 0) yield length;
}

function* footer(section: number): Reading {
  const mark = yield* u8();
  const id = yield* u32();
  if (mark !== part.footer || id !== section)
    throw new MigrationError('ERR_MIGRATION_FOOTER', `section ${section} ends with 0x${mark.toString(16)} ${id}`, '');
}
