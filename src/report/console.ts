import { performance } from 'node:perf_hooks';
import type { Requirement } from '../contract/index.js';
import { isExpected, type Reporter, type RunResult, type VariantResult } from '../runner/index.js';
import { expectationText } from './expectation.js';
import { count, formatMs, printable } from './format.js';
import { type Paint, paint, wantsColour } from './paint.js';
import { Tally } from './progress.js';
import { renderSummary } from './summary.js';

/** A stream for text; `process.stdout` and `process.stderr` are. */
export interface TextStream {
  write(text: string): unknown;
  isTTY?: boolean | undefined;
  columns?: number | undefined;
}

/** Where a ConsoleReporter speaks, and of which requirements. */
export interface ConsoleOptions {
  stdout: TextStream;
  stderr: TextStream;
  env: NodeJS.ProcessEnv;
  contract: readonly Requirement[];
  /** Says nothing while the run goes on. */
  quiet?: boolean;
}

const CLEAR_LINE = '\r\x1b[K';
const REDRAW_MS = 500;

/**
 * Tells people how the run goes, on stderr: one living line on a terminal, otherwise (CI, a pipe) a line for each variant.
 * The summary at the end is the command's output, on stdout.
 */
export class ConsoleReporter implements Reporter {
  readonly #o: ConsoleOptions;
  readonly #live: boolean;
  readonly #paint: Paint;
  #tally = new Tally(0, () => performance.now());
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ConsoleOptions) {
    this.#o = options;
    const { stderr, env } = options;
    this.#live = stderr.isTTY === true && !env.CI && env.TERM !== 'dumb';
    this.#paint = paint(wantsColour(stderr, env));
  }

  onStart({ total, jobs, qemu, expectations, out }: Parameters<NonNullable<Reporter['onStart']>>[0]): void {
    if (this.#o.quiet) return;
    this.#tally = new Tally(total, () => performance.now());
    this.#o.stderr.write(
      `QEMU ${qemu.version} (${qemu.path}): ${count(total, 'variant')}, ${Math.min(jobs, total)} at a time, reports in ${out}\n` +
        (expectations
          ? `Known failures of this build: ${expectations.file}\n`
          : 'No failure of this build is known: every one counts\n'),
    );
    if (!this.#live) return;
    this.#timer = setInterval(() => this.#draw(), REDRAW_MS);
    this.#timer.unref();
  }

  onDiscovery({ variants }: { variants: number }): void {
    this.#tally.total += variants;
  }

  onVariantStart({ id }: { id: string }): void {
    this.#tally.started(id);
    this.#draw();
  }

  onVariantEnd(result: VariantResult): void {
    this.#tally.ended(result);
    if (this.#o.quiet) return;
    if (!this.#live) this.#o.stderr.write(`${this.#tally.position}  ${this.#line(result)}\n`);
    else if (needsAttention(result)) this.#o.stderr.write(`${CLEAR_LINE}${this.#line(result)}\n`);
    this.#draw();
  }

  onEnd(result: RunResult, out: string): void {
    clearInterval(this.#timer);
    if (this.#live && !this.#o.quiet) this.#o.stderr.write(CLEAR_LINE);
    this.#o.stdout.write(renderSummary(result, out, this.#o.contract, paint(wantsColour(this.#o.stdout, this.#o.env))));
  }

  #line(result: VariantResult): string {
    const { verdict, kind, variant, expectation, durationMs } = result;
    const expected = isExpected(result);
    const stale = expectation?.state === 'stale';
    const word = (stale ? 'stale' : expected ? 'expected' : (kind ?? verdict)).toUpperCase().padEnd(12);
    const reason = stale || expected ? expectationText(result) : result.reason;
    const colours = {
      pass: this.#paint.good,
      fail: this.#paint.bad,
      inconclusive: this.#paint.warn,
      skip: this.#paint.dim,
    };
    const why = reason ? `: ${printable(reason)}` : '';
    const colour = stale ? this.#paint.bad : expected ? this.#paint.dim : colours[verdict];
    return `${colour(word)}  ${variant}${why}${verdict === 'skip' ? '' : this.#paint.dim(`  ${formatMs(durationMs)}`)}`;
  }

  #draw(): void {
    if (!this.#live || this.#o.quiet) return;
    this.#o.stderr.write(CLEAR_LINE + this.#tally.line((this.#o.stderr.columns || 80) - 1));
  }
}

/** What a person who watches wants to see at once. */
function needsAttention(result: VariantResult): boolean {
  const { verdict, expectation } = result;
  return expectation?.state === 'stale' || verdict === 'inconclusive' || (verdict === 'fail' && !isExpected(result));
}
