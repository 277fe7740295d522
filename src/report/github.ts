import { appendFile, stat } from 'node:fs/promises';
import type { Requirement } from '../contract/index.js';
import type { Reporter, RunResult, VariantResult } from '../runner/index.js';
import type { TextStream } from './console.js';
import { breaksOf, requirementOf } from './failure.js';
import { kindOf, messageOf, outcomeOf } from './outcome.js';
import { paint } from './paint.js';
import { banner, countsOf } from './summary.js';

/** GitHub shows so many annotations of a type for each step, and drops the others. */
const MOST = 10;
/** GitHub refuses a longer summary of a step, 1 MiB; a row is far below the difference. */
const SUMMARY_BYTES = 1_000_000;

/**
 * Workflow commands that annotate a run of GitHub Actions: an `error` for each failure, crashes first, a `warning` for what
 * could not be judged.
 */
export function renderAnnotations(result: RunResult): string {
  const failed = result.variants.filter((one) => outcomeOf(one) === 'failed').sort(byWeight);
  const unclear = result.variants.filter((one) => outcomeOf(one) === 'error');
  return [...commands('error', failed), ...commands('warning', unclear)].map((line) => `${line}\n`).join('');
}

const outcomes = ['failed', 'error', 'known', 'skipped'];
const kinds = ['crash', 'hang', 'violation', 'stale'];

/** What matters most first. */
const byWeight = (a: VariantResult, b: VariantResult) =>
  outcomes.indexOf(outcomeOf(a)) - outcomes.indexOf(outcomeOf(b)) ||
  kinds.indexOf(kindOf(a)) - kinds.indexOf(kindOf(b));

function commands(type: 'error' | 'warning', results: readonly VariantResult[]): string[] {
  // The last one that is shown tells of those that are not.
  const shown = results.length > MOST ? results.slice(0, MOST - 1) : results;
  const lines = shown.map(
    (one) =>
      `::${type} title=${property(`${kindOf(one)}: ${one.variant}`)}::${data(`${messageOf(one)}\n${one.reproduce}`)}`,
  );
  const left = results.length - shown.length;
  return left > 0 ? [...lines, `::${type} title=and ${left} more::${data('see the summary and results.json')}`] : lines;
}

// https://docs.github.com/actions/reference/workflow-commands-for-github-actions; as actions/toolkit escapes them.
const data = (text: string) => text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
const property = (text: string) => data(text).replaceAll(':', '%3A').replaceAll(',', '%2C');

/**
 * The step's summary in Markdown: the verdict, and a row for each variant that is no pass, what matters most first.
 * @param taken bytes that the step's summary has already
 */
export function renderStepSummary(result: RunResult, contract: readonly Requirement[], taken = 0): string {
  const rows = result.variants
    .filter((one) => outcomeOf(one) !== 'passed')
    .sort(byWeight)
    .map((one) => row(one, contract));
  const head = [
    `## ${markdown(banner(result, paint(false)))}`,
    '',
    `${countsOf(result)}; ${markdown(result.qemu.versionText)}`,
    '',
    ...(rows.length > 0 ? ['| outcome | variant | requirement | why |', '| --- | --- | --- | --- |'] : []),
  ];
  const lines = [...head];
  let bytes = taken + Buffer.byteLength(head.join('\n'));
  for (const [i, line] of rows.entries()) {
    bytes += Buffer.byteLength(line) + 1;
    if (bytes > SUMMARY_BYTES) {
      lines.push('', `${rows.length - i} more are in results.json.`);
      break;
    }
    lines.push(line);
  }
  return `${lines.join('\n')}\n`;
}

function row(result: VariantResult, contract: readonly Requirement[]): string {
  const [worst] = breaksOf(result);
  const title = worst ? `${worst.requirement} ${requirementOf(contract, worst.requirement)?.title ?? ''}` : '';
  const outcome = outcomeOf(result);
  const word = outcome === 'known' ? 'expected' : outcome === 'skipped' ? 'skip' : kindOf(result);
  return `| ${word} | ${markdown(result.variant)} | ${markdown(title.trim())} | ${markdown(messageOf(result))} |`;
}

/** Text in a table's cell: neither markup of a message, nor HTML, nor the cell's end. */
const markdown = (text: string) =>
  text.replace(/\s+/g, ' ').replace(/[\\`*_[\]|<>&~]/g, (c) => `&#${c.charCodeAt(0)};`);

/** Annotates a run of GitHub Actions, which has set GITHUB_ACTIONS and, for the summary, GITHUB_STEP_SUMMARY. */
export class GithubReporter implements Reporter {
  constructor(
    private readonly stdout: TextStream,
    private readonly contract: readonly Requirement[],
    private readonly summaryFile?: string,
  ) {}

  async onEnd(result: RunResult): Promise<void> {
    this.stdout.write(renderAnnotations(result));
    if (!this.summaryFile) return;
    try {
      const taken = await stat(this.summaryFile).then(
        ({ size }) => size,
        () => 0,
      );
      await appendFile(this.summaryFile, renderStepSummary(result, this.contract, taken));
    } catch (error) {
      // The verdict does not depend on it.
      this.stdout.write(`::warning title=no summary of the step::${data((error as Error).message)}\n`);
    }
  }
}
