import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Requirement } from '../contract/index.js';
import { RESULTS, type Reporter, type RunResult } from '../runner/index.js';
import { renderCtrf } from './ctrf.js';
import { renderJunit } from './junit.js';
import { renderTap } from './tap.js';

/** Whoever watches for the file never reads half of it. */
async function writeWhole(file: string, text: string): Promise<void> {
  await writeFile(`${file}.part`, text);
  await rename(`${file}.part`, file);
}

/**
 * Writes the files for programs: `results.json` (the whole RunResult), `junit.xml`, `report.tap` (TAP 14) and `ctrf.json`.
 */
export class FileReporter implements Reporter {
  constructor(private readonly contract: readonly Requirement[]) {}

  async onEnd(result: RunResult, out: string): Promise<void> {
    const files = {
      [RESULTS]: `${JSON.stringify(result, null, 2)}\n`,
      'junit.xml': renderJunit(result, this.contract),
      'report.tap': renderTap(result),
      'ctrf.json': renderCtrf(result, this.contract),
    };
    for (const [name, text] of Object.entries(files)) await writeWhole(join(out, name), text);
  }
}
