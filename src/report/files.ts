import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Requirement } from '../contract/index.js';
import { RESULTS, type Reporter, type RunResult } from '../runner/index.js';
import { renderJunit } from './junit.js';

/** Whoever watches for the file never reads half of it. */
async function writeWhole(file: string, text: string): Promise<void> {
  await writeFile(`${file}.part`, text);
  await rename(`${file}.part`, file);
}

/** Writes `results.json`: the whole RunResult, for programs. */
export class JsonReporter implements Reporter {
  async onEnd(result: RunResult, out: string): Promise<void> {
    await writeWhole(join(out, RESULTS), `${JSON.stringify(result, null, 2)}\n`);
  }
}

/** Writes `junit.xml`, for CI systems. */
export class JunitReporter implements Reporter {
  constructor(private readonly contract: readonly Requirement[]) {}

  async onEnd(result: RunResult, out: string): Promise<void> {
    await writeWhole(join(out, 'junit.xml'), renderJunit(result, this.contract));
  }
}
