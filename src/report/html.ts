import { createWriteStream } from 'node:fs';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Requirement } from '../contract/index.js';
import type { Reporter, RunResult } from '../runner/index.js';
import { readTimeline, type Timeline } from '../timeline/index.js';
import { renderDocument } from './html/document.js';

/** The page for people. */
export const PAGE = 'report.html';

/** Writes `report.html`, for people: one file that needs no other and no network. docs/report.md shows it. */
export class HtmlReporter implements Reporter {
  /** @param timelineOf reads the file of a stored timeline */
  constructor(
    private readonly contract: readonly Requirement[],
    private readonly timelineOf: (file: string) => Promise<Timeline> = readTimeline,
  ) {}

  async onEnd(result: RunResult, out: string): Promise<void> {
    const file = join(out, PAGE);
    await pipeline(renderDocument(result, out, this.contract, this.timelineOf), createWriteStream(`${file}.part`));
    await rename(`${file}.part`, file);
  }
}
