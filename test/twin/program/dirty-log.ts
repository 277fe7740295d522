import { closeSync, readSync } from 'node:fs';
import { memfd } from '../../../src/os/index.js';

/** Bytes of a page, and pages of a byte of the log. */
const PAGE = 4096;
const BITS = 8;

/** The log that a back-end marks pages in: one bit a page of guest memory. It is only ever added to. */
export class DirtyLog {
  readonly fd: number;
  readonly size: number;

  /** @param memory guest RAM in bytes */
  constructor(memory: number) {
    this.size = memory / PAGE / BITS;
    this.fd = memfd('log', this.size);
  }

  /** Numbers of the pages that are marked. */
  pages(): number[] {
    const bytes = Buffer.alloc(this.size);
    readSync(this.fd, bytes, 0, bytes.length, 0);
    return [...bytes].flatMap((byte, i) =>
      Array.from({ length: BITS }, (_, bit) => BITS * i + bit).filter((page) => byte & (1 << (page % BITS))),
    );
  }

  close(): void {
    closeSync(this.fd);
  }
}
