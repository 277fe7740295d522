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

/** The reports for programs, by file name. They say nothing that the result does not. */
export function reportsOf(result: RunResult, contract: readonly Requirement[]): Record<string, string> {
  return {
    'junit.xml': renderJunit(result, contract),
    'report.tap': renderTap(result),
    'ctrf.json': renderCtrf(result, contract),
  };
}

/**
 * Writes the files for programs: `results.json` (the whole RunResult), `junit.xml`, `report.tap` (TAP 14) and `ctrf.json`.
 */
export class FileReporter implements Reporter {
  constructor(private readonly contract: readonly Requirement[]) {}

  async onEnd(result: RunResult, out: string): Promise<void> {
    const files = {
      [RESULTS]: `${JSON.stringify(result, null, 2)}\n`,
      ...reportsOf(result, this.contract),
    };
    for (const [name, text] of Object.entries(files)) await writeWhole(join(out, name), text);
  }
}
