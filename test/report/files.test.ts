import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { FileReporter } from '../../src/report/files.js';
import { contract, crashed, runOf } from './fixtures.js';

it('writes the reports whole, and nothing else', async () => {
  const out = await mkdtemp(join(tmpdir(), 'report-'));
  try {
    const result = runOf([crashed]);
    await new FileReporter(contract).onEnd(result, out);
    expect((await readdir(out)).sort()).toEqual(['ctrf.json', 'junit.xml', 'report.tap', 'results.json']);
    expect(JSON.parse(await readFile(join(out, 'results.json'), 'utf8'))).toEqual(result);
  } finally {
    await rm(out, { recursive: true });
  }
});
