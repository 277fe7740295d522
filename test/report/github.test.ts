import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { renderAnnotations, renderStepSummary } from '../../src/report/github.js';
import { GithubReporter } from '../../src/report/index.js';
import { broken, contract, crashed, runOf, variant } from './fixtures.js';

const violation = (id: string, seen = 'odd') =>
  variant({
    variant: id,
    verdict: 'fail',
    kind: 'violation',
    reason: `R8: ${seen}`,
    requirements: [broken('R8', 'violation', seen, [1])],
  });

describe('annotations', () => {
  it('tell of crashes first, then of what broke, then of what could not be judged', () => {
    const unclear = variant({ variant: 'unclear', verdict: 'inconclusive', reason: 'no time' });
    const lines = renderAnnotations(runOf([unclear, violation('v'), crashed, variant()]))
      .trim()
      .split('\n');
    expect(lines.map((line) => line.replace(/::.*/s, (rest) => rest.slice(0, 40)))).toEqual([
      expect.stringContaining('::error title=crash%3A server.absence.b'),
      expect.stringContaining('::error title=violation%3A v::R8: odd%0'),
      expect.stringContaining('::warning title=inconclusive%3A unclear:'),
    ]);
  });

  it('keep to one line and one command, whatever a QEMU says', () => {
    const text = renderAnnotations(runOf([violation('a,b:c', '100%\r\n::error::injected')]));
    expect(text.trim().split('\n')).toHaveLength(1);
    expect(text).toContain('title=violation%3A a%2Cb%3Ac::R8: 100%25%0D%0A::error::injected%0A');
  });

  it('are ten of a type, the tenth telling of the rest', () => {
    const lines = (n: number) =>
      renderAnnotations(runOf(Array.from({ length: n }, (_, i) => violation(`v${i}`))))
        .trim()
        .split('\n');
    expect(lines(10)).toHaveLength(10);
    expect(lines(10)[9]).toContain('v9');
    expect(lines(25)).toHaveLength(10);
    expect(lines(25)[9]).toMatch(/^::error title=and 16 more::/);
  });
});

describe("the step's summary", () => {
  it('has a row for what is no pass, failures first, and no markup of a message', () => {
    const skipped = variant({ variant: 'skipped', verdict: 'skip', reason: 'a | b <img src=x> `c`' });
    const text = renderStepSummary(runOf([skipped, variant(), violation('v', 'x'), crashed]), contract);
    const rows = text
      .split('\n')
      .filter((line) => line.startsWith('| ') && !line.startsWith('| outcome') && !line.startsWith('| ---'));
    expect(rows).toHaveLength(3);
    expect(rows[0]).toMatch(/^\| crash \| server/);
    expect(rows[1]).toMatch(/^\| violation \| v /);
    expect(rows[2]!.split('|')).toHaveLength(6);
    expect(text).not.toContain('<img');
  });

  it('stays below what GitHub takes', () => {
    const run = runOf(Array.from({ length: 5000 }, (_, i) => violation(`v${i}`, 'x'.repeat(500))));
    const text = renderStepSummary(run, contract);
    expect(Buffer.byteLength(text)).toBeLessThan(1024 * 1024);
    expect(text).toMatch(/\n\d+ more are in results\.json\.\n$/);
    // Earlier commands of the step have written theirs.
    const taken = 900_000;
    expect(taken + Buffer.byteLength(renderStepSummary(run, contract, taken))).toBeLessThan(1024 * 1024);
  });

  it('costs no verdict when it cannot be written', async () => {
    let out = '';
    const reporter = new GithubReporter({ write: (text: string) => (out += text) }, contract, '/no/such/file');
    await reporter.onEnd(runOf([variant()]));
    expect(out).toMatch(/^::warning title=no summary of the step::ENOENT/);
  });

  it('is added to the file that the runner names', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'github-'));
    try {
      let out = '';
      const file = join(dir, 'summary.md');
      const reporter = new GithubReporter({ write: (text: string) => (out += text) }, contract, file);
      await reporter.onEnd(runOf([crashed]));
      await reporter.onEnd(runOf([crashed]));
      expect(out).toMatch(/^::error title=crash/);
      expect(readFileSync(file, 'utf8').match(/^## /gm)).toHaveLength(2);
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});
