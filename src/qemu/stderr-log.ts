import type { Recording } from '../timeline/index.js';
import { type Assertion, parseAssertion } from './assertion.js';

/** Characters of a line that are kept. */
const MAX_LINE = 2000;
/** Lines that are recorded; a QEMU in a loop of complaints must not fill the timeline. */
const MAX_LINES = 2000;
const TAIL_LINES = 10;

/** Splits what QEMU says into lines, records them (within bounds) and keeps what a post-mortem needs. */
export class StderrLog {
  /** The last lines. */
  readonly tail: string[] = [];
  /** The last failed assertion. */
  assertion: Assertion | undefined;
  readonly #recorder: Recording;
  #lines = 0;

  constructor(recorder: Recording) {
    this.#recorder = recorder;
  }

  /** Takes one stream; several may end in the same log, each with its own lines. */
  read(stream: NodeJS.ReadableStream): void {
    let rest = '';
    stream.setEncoding('utf8');
    stream.on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      // The end of a line that is too long is not kept while it grows either.
      rest = lines.pop()!.slice(0, MAX_LINE + 1);
      for (const line of lines) this.#line(line);
    });
    stream.on('end', () => {
      if (rest !== '') this.#line(rest);
    });
  }

  #line(whole: string): void {
    const line = whole.length > MAX_LINE ? `${whole.slice(0, MAX_LINE)}…` : whole;
    if (line.trim() !== '') {
      this.tail.push(line);
      if (this.tail.length > TAIL_LINES) this.tail.shift();
    }
    this.assertion = parseAssertion(line) ?? this.assertion;
    this.#lines++;
    if (this.#lines <= MAX_LINES) this.#recorder.record({ type: 'qemu.stderr', line });
    else if (this.#lines === MAX_LINES + 1)
      this.#recorder.record({ type: 'qemu.stderr', line: '[the tester records no further lines]' });
  }
}
