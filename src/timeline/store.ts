import { closeSync, openSync, writeSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import type { Event } from './events.js';
import { Timeline } from './timeline.js';

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
 * so that a tester that is killed loses nothing that matters.
 */
export class TimelineWriter {
  #fd: number | undefined;
  #lines = '';

  /** Makes the file. @throws the file system's error */
  constructor(readonly file: string) {
    this.#fd = openSync(file, 'wx');
  }

  append(event: Event): void {
    if (this.#lines === '') setImmediate(() => this.flush());
    this.#lines += `${JSON.stringify(event)}\n`;
  }

  /** Writes what waits. @throws the file system's error */
  flush(): void {
    const lines = Buffer.from(this.#lines);
    this.#lines = '';
    for (let done = 0; this.#fd !== undefined && done < lines.length; ) done += writeSync(this.#fd, lines, done);
  }

  close(): void {
    this.flush();
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}

/** Reads what writeTimeline wrote. @throws TimelineError with the line, or the file system's error. */
export async function readTimeline(file: string): Promise<Timeline> {
  const lines = (await readFile(file, 'utf8')).split('\n');
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
