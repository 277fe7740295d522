import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { mergeFiles, mergeRuns, type RunResult, type StoredRun } from '../../src/runner/index.js';
import { crashed, runOf, variant } from '../report/fixtures.js';

const at = (place: number, over = {}) =>
  variant({ place, variant: `v${place}`, timeline: `timelines/v${place}.jsonl`, ...over });
const base = runOf([]);

/** The shard of so many, with these variants. */
function shard(index: number, of: number, variants: RunResult['variants'], over: Partial<RunResult> = {}): StoredRun {
  const result = runOf(variants, over);
  return { dir: `/shard-${index}`, result: { ...result, selection: { ...result.selection, shard: { index, of } } } };
}

describe('mergeRuns', () => {
  it('is the run that the shards are: results in order, counts, times, machines', () => {
    const other = { ...base.hosts[0]!, kernel: '6.2.0' };
    const merged = mergeRuns([
      shard(2, 2, [at(1), { ...crashed, place: 2 }], {
        startedAt: '2026-01-02T03:04:00.000Z',
        durationMs: 30_000,
        hosts: [other],
        notRun: ['v9'],
      }),
      shard(1, 2, [at(0), at(1.5)], { startedAt: '2026-01-02T03:04:20.000Z', durationMs: 40_000 }),
    ]);
    expect(merged.variants.map(({ place }) => place)).toEqual([0, 1, 1.5, 2]);
    expect(merged).toMatchObject({
      startedAt: '2026-01-02T03:04:00.000Z',
      durationMs: 60_000,
      hosts: [other, base.hosts[0]],
      notRun: ['v9'],
      interrupted: false,
      summary: { total: 4, pass: 3, crash: 1 },
      exitCode: 3,
    });
    expect(merged.selection).toEqual(base.selection);
  });

  it.each<[string, StoredRun[], RegExp]>([
    ['no run', [], /no run to merge/],
    ['a run that is no shard', [{ dir: '/whole', result: base }], /\/whole is no shard/],
    ['a shard that is missing', [shard(1, 3, []), shard(3, 3, [])], /shard 2 of 3 is missing/],
    ['one that is there twice', [shard(1, 2, []), shard(1, 2, []), shard(2, 2, [])], /are both shard 1/],
    ['another number of shards', [shard(1, 2, []), shard(2, 3, [])], /shard-1 and \/shard-2 differ: number of shards/],
    [
      'another QEMU',
      [shard(1, 2, []), shard(2, 2, [], { qemu: { ...base.qemu, sha256: 'cd'.repeat(32) } })],
      /differ: QEMU/,
    ],
    [
      'another selection',
      [shard(1, 2, []), shard(2, 2, [], { selection: { ...base.selection, level: 'should' } })],
      /differ: selection/,
    ],
    ['another contract', [shard(1, 2, []), shard(2, 2, [], { contract: { version: 99 } })], /differ: contract/],
    [
      'another tester',
      [shard(1, 2, []), shard(2, 2, [], { tester: { name: 'vhost-reconnect', version: '9.9.9' } })],
      /differ: tester/,
    ],
    [
      'other expectations',
      [shard(1, 2, []), shard(2, 2, [], { expectations: { file: '/x/mine.yaml' } })],
      /differ: expectation file/,
    ],
    [
      'other cases',
      [
        shard(1, 2, [], { plan: { variants: 2, sha256: 'ab'.repeat(32) } }),
        shard(2, 2, [], { plan: { variants: 2, sha256: 'cd'.repeat(32) } }),
      ],
      /differ: cases/,
    ],
    ['a variant in two shards', [shard(1, 2, [at(0), at(1)]), shard(2, 2, [at(1)])], /v1 is in two shards/],
    [
      'a variant in no shard',
      [
        shard(1, 2, [at(0), at(0.5)], { plan: { variants: 4, sha256: 'ab'.repeat(32) } }),
        shard(2, 2, [at(2)], { plan: { variants: 4, sha256: 'ab'.repeat(32) }, notRun: ['v1'] }),
      ],
      /1 of 4 variants are in no shard/,
    ],
  ])('refuses %s', (_, runs, message) => {
    expect(() => mergeRuns(runs)).toThrow(message);
  });

  it('minds neither how many ran side by side nor where the expectation file lay', () => {
    const here = shard(1, 2, [], { expectations: { file: '/a/mine.yaml' } });
    const there = shard(2, 2, [], {
      expectations: { file: '/b/mine.yaml' },
      selection: { ...base.selection, jobs: 99 },
    });
    expect(mergeRuns([here, there]).exitCode).toBe(0);
  });
});

describe('mergeFiles', () => {
  const dirs: string[] = [];
  const folder = () => {
    const dir = mkdtempSync(join(tmpdir(), 'merge-'));
    dirs.push(dir);
    return dir;
  };
  afterEach(() => {
    for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true });
  });
  const stored = (...variants: RunResult['variants']): StoredRun => {
    const dir = folder();
    mkdirSync(join(dir, 'timelines'));
    return { dir, result: runOf(variants) };
  };

  it('brings them together, and names the one that is missing', async () => {
    const { timeline: _, ...skip } = at(3, { verdict: 'skip' });
    const [a, b, out] = [stored(at(1), skip), stored(at(2)), folder()];
    writeFileSync(join(a.dir, 'timelines/v1.jsonl'), 'one');
    await expect(mergeFiles([a, b], out)).rejects.toThrow(/v2: ENOENT/);
    writeFileSync(join(b.dir, 'timelines/v2.jsonl'), 'two');
    await mergeFiles([a, b], out);
    expect(readdirSync(join(out, 'timelines')).sort()).toEqual(['v1.jsonl', 'v2.jsonl']);
  });
});
