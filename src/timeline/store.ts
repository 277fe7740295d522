import { closeSync, fstatSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import type { Event } from './events.js';
import { Timeline } from './timeline.js';

const NEWLINE = 0x0a;

/** A stored timeline that cannot be read: where and what was expected. */
export class TimelineError extends Error {
  readonly code = 'ERR_TIMELINE';
  constructor(
    readonly file: string,
    readonly line: number,
    why: string,
  ) {
    super(`${file}:${line}: ${why}`);
    this.name = 'TimelineError';
  }
}

/** Writes one event a line (JSON Lines). @throws the file system's error. */
export async function writeTimeline(file: string, events: readonly Event[]): Promise<void> {
  await writeFile(file, events.map((event) => `${JSON.stringify(event)}\n`).join(''));
}

/**
 * Writes a timeline that goes on for long, in the same form: what one turn of the event loop records is in the file in the next,
 * so that a tester that is killed loses nothing that matters. When the file cannot be written any more (the disk is full, the
 * file is gone) it says so once, and writes nothing later: what there is ends with a whole line, and has no gap.
 */
export class TimelineWriter {
  readonly #failed: (error: NodeJS.ErrnoException) => void;
  #fd: number | undefined;
  #lines = '';
  #size = 0;
  #failure: NodeJS.ErrnoException | undefined;

  /** Makes the file. @param failed told the file system's error when it cannot go on @throws the file system's error */
  constructor(
    readonly file: string,
    failed: (error: NodeJS.ErrnoException) => void = () => {},
  ) {
    this.#failed = failed;
    this.#fd = openSync(file, 'wx');
  }

  /** Why not everything is in the file. */
  get failure(): NodeJS.ErrnoException | undefined {
    return this.#failure;
  }

  /** Bytes of the file that are whole lines. While it is written to, a reader may see a part of the next ones, page by page. */
  get size(): number {
    return this.#size;
  }

  append(event: Event): void {
    if (this.#failure) return;
    if (this.#lines === '') setImmediate(() => this.flush());
    this.#lines += `${JSON.stringify(event)}\n`;
  }

  /** Writes what waits. */
  flush(): void {
    const fd = this.#fd;
    const lines = Buffer.from(this.#lines);
    this.#lines = '';
    if (fd === undefined || this.#failure) return;
    let done = 0;
    try {
      while (done < lines.length) done += writeSync(fd, lines, done);
      // The kernel goes on writing to what nobody will find.
      if (fstatSync(fd).nlink === 0) throw Object.assign(new Error('ENOENT: the file was removed'), { code: 'ENOENT' });
      this.#size += done;
    } catch (error) {
      this.#size += lines.subarray(0, done).lastIndexOf(NEWLINE) + 1;
      this.#fail(fd, error as NodeJS.ErrnoException);
    }
  }

  close(): void {
    this.flush();
    const fd = this.#fd;
    this.#fd = undefined;
    if (fd === undefined) return;
    try {
      closeSync(fd);
    } catch (error) {
      // Some file systems tell only now that there was no room.
      if (!this.#failure) this.#fail(undefined, error as NodeJS.ErrnoException);
    }
  }

  #fail(fd: number | undefined, error: NodeJS.ErrnoException): void {
    this.#failure = error;
    try {
      if (fd !== undefined) ftruncateSync(fd, this.#size);
    } catch {
      // Then a reader who does not know how much is whole is told of the line that was cut.
    }
    this.#failed(error);
  }
}

/**
 * Reads what writeTimeline wrote. @param bytes so many of a file that is still written to, up to the end of a line
 * @throws TimelineError with the line, or the file system's error.
 */
export async function readTimeline(file: string, bytes?: number): Promise<Timeline> {
  const lines = (await readFile(file)).toString('utf8', 0, bytes).split('\n');
  if (lines.at(-1) === '') lines.pop();
  const events = lines.map((line, i) => {
    try {
      const event = JSON.parse(line) as Event;
      if (event === null || typeof event !== 'object' || typeof event.type !== 'string' || event.seq !== i)
        throw new Error(`expected event number ${i}`);
      return event;
    } catch (error) {
      throw new TimelineError(file, i + 1, error instanceof Error ? error.message : String(error));
    }
  });
  if (events[0]?.type !== 'run.begin') throw new TimelineError(file, 1, 'expected run.begin as the first event');
  if (events[0].schema !== 1) throw new TimelineError(file, 1, `unknown schema ${events[0].schema}, expected 1`);
  return new Timeline(events);
}
