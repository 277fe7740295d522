import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { registry } from '../contract/index.js';
import { FileReporter, HtmlReporter, messageLines } from '../report/index.js';
import type { RunResult } from '../runner/index.js';
import { readTimeline, TimelineError } from '../timeline/index.js';
import { DrillError } from './error.js';

/**
 * Stores the record of a drill beside its timelines: the files of a run, and each port's vhost-user messages as text.
 * @throws DrillError ERR_RECORD when the file system refuses
 */
export async function storeRecord(result: RunResult, out: string): Promise<void> {
  try {
    await store(result, out);
  } catch (error) {
    if (!(error instanceof Error && ('syscall' in error || error instanceof TimelineError))) throw error;
    throw new DrillError('ERR_RECORD', `the record cannot be stored in ${out}: ${error.message}`);
  }
}

async function store(result: RunResult, out: string): Promise<void> {
  for (const { timeline, variant } of result.variants) {
    if (timeline === undefined) continue;
    const port = /port=(\w+)/.exec(variant)![1];
    const { events } = await readTimeline(join(out, timeline));
    writeFileSync(
      join(out, `${port}.messages.txt`),
      messageLines(events)
        .map((line) => `${line}\n`)
        .join(''),
    );
  }
  for (const reporter of [new FileReporter(registry), new HtmlReporter(registry)]) await reporter.onEnd(result, out);
}
