import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { compareRuns, type RunResult, type VariantResult } from '../../src/runner/index.js';
import { type World, worlds } from './world.js';

const world = worlds();
const QUIT = 'quit.connected[role=server,driver=none]';

/** The folder of the newest run in a folder of the world. */
function newest(w: World, parent: string): string {
  const names = readdirSync(join(w.cwd, parent));
  // `T` of the time, then `-2` of the same second.
  return join(w.cwd, parent, names.toSorted((a, b) => a.length - b.length || (a < b ? -1 : 1)).at(-1)!);
}
const results = (dir: string) => JSON.parse(readFileSync(join(dir, 'results.json'), 'utf8')) as RunResult;
const ids = ({ variants }: RunResult) => variants.map(({ variant }) => variant);

describe('run --shard and merge', () => {
  it('of all parts is the run in one, with what a dry run discovers', async () => {
    const w = world();
    // The dry run of sweep.every-message discovers further variants.
    const what = ['quit', 'sweep.every-message[role=server,phase=quit,pairs=1,*', '--role', 'server', '--quiet'];
    await w.run('run', ...what, '--out', 'whole');
    const whole = results(newest(w, 'whole'));
    expect(ids(whole).filter((id) => /^sweep.*cut=[A-Z]/.test(id)).length).toBeGreaterThan(2);
    for (const index of [1, 2, 3]) await w.run('run', ...what, '--shard', `${index}/3`, '--out', `part-${index}`);
    const parts = [1, 2, 3].map((index) => newest(w, `part-${index}`));
    for (const part of parts) expect(results(part).variants.length).toBeGreaterThan(0);
    w.out = '';
    expect(await w.run('merge', ...parts.toReversed(), '--out', 'merged')).toBe(whole.exitCode);
    const dir = newest(w, 'merged');
    const merged = results(dir);
    expect(ids(merged)).toEqual(ids(whole));
    expect(compareRuns(whole, merged, 'must').differences).toEqual([]);
    expect(merged.summary).toEqual(whole.summary);
    expect(w.out).toContain(`Reports and timelines: ${dir}`);
    expect(readdirSync(dir).sort()).toEqual(readdirSync(newest(w, 'whole')).sort());
    expect(readdirSync(join(dir, 'timelines')).sort()).toEqual(
      readdirSync(join(newest(w, 'whole'), 'timelines')).sort(),
    );

    w.err = '';
    expect(await w.run('merge', parts[0]!, parts[2]!)).toBe(2);
    expect(w.err).toContain('shard 2 of 3 is missing (run it: --shard 2/3)');
    rmSync(join(parts[1]!, 'timelines'), { recursive: true });
    w.err = '';
    expect(await w.run('merge', ...parts, '--out', 'merged')).toBe(2);
    expect(w.err).toMatch(/: ENOENT.* \(timelines lie beside results\.json/);
  });

  it('refuses shards of other cases, though they are called the same', async () => {
    const w = world();
    for (const [index, packets] of [
      [1, 8],
      [2, 16],
    ]) {
      mkdirSync(join(w.cwd, `cases-${index}`));
      writeFileSync(
        join(w.cwd, `cases-${index}`, 'ours.yaml'),
        `id: ours.traffic
title: Ours
level: must
why: ours
references: [contract:R1]
roles: [server]
matrix: { driver: [linux, none] }
driver: $driver
steps:
  - peer: connect
  - await: ready
  - traffic: ${packets}
`,
      );
      const args = ['--cases', `cases-${index}`, '--shard', `${index}/2`, '--out', `part-${index}`, '--quiet'];
      expect(await w.run('run', 'ours.traffic', ...args)).toBe(0);
    }
    w.err = '';
    expect(await w.run('merge', newest(w, 'part-1'), newest(w, 'part-2'))).toBe(2);
    expect(w.err).toContain('differ: cases (shards of one run have the same options, cases, QEMU and tester)');
  });

  it('runs nothing where there are more parts than variants', async () => {
    const w = world();
    expect(await w.run('run', QUIT, '--shard', '2/2', '--quiet')).toBe(0);
    expect(results(newest(w, 'reports')).variants).toEqual([]);
    expect(w.out).toMatch(/^NOTHING RAN {2}no variant falls to this shard/);
  });

  it.each(['0/4', '5/4', '1', '1/x', '1/1000000'])('refuses --shard %s', async (shard) => {
    const w = world();
    expect(await w.run('run', QUIT, '--shard', shard)).toBe(2);
    expect(w.err).toContain(`--shard takes a part such as 2/4, from 1/4 to 4/4, not ${shard}`);
  });
});

describe('run --max-time', () => {
  it('begins nothing later, says what was left out, and is inconclusive', async () => {
    const w = world();
    expect(await w.run('run', 'quit', '--jobs', '1', '--max-time', '0.001s')).toBe(4);
    const { notRun, variants, exitCode } = results(newest(w, 'reports'));
    expect(exitCode).toBe(4);
    expect(notRun.length).toBeGreaterThan(0);
    expect(variants.length).toBeLessThan(notRun.length);
    expect(w.out).toMatch(
      new RegExp(`^INCOMPLETE {2}no failure in the \\d variants? that ran; ${notRun.length} were not run\n`),
    );
  });

  it.each(['10', '0s', '-1s', '5d'])('refuses %s', async (time) => {
    const w = world();
    expect(await w.run('run', QUIT, `--max-time=${time}`)).toBe(2);
    expect(w.err).toContain(`--max-time takes a time such as 90s, 10m or 1h, not ${time}`);
  });
});

describe('run --repeat-until-fail', () => {
  it('goes on until it is stopped; the timelines are those of the results', async () => {
    const w = world();
    const done = w.run('run', QUIT, '--repeat-until-fail', '--jobs', '1', '--log-level', 'debug');
    await expect.poll(() => w.err.split('variant starts').length).toBeGreaterThan(3);
    w.interrupt();
    expect(await done).toBe(130);
    const dir = newest(w, 'reports');
    expect(results(dir)).toMatchObject({ interrupted: true, summary: { total: 1, pass: 1 } });
    expect(results(dir).rounds).toBeGreaterThan(2);
    expect(await w.run('judge', dir)).toBe(0);
  });
});

describe('run --rerun-failed', () => {
  /** A run of a variant that passes, told otherwise. */
  async function spoilt(w: World, over: Partial<VariantResult>, notRun: string[] = []): Promise<string> {
    await w.run('run', QUIT, 'quit.connected[role=client,driver=none]', '--quiet', '--profile', 'ovs-dpdk-2.15');
    const dir = newest(w, 'reports');
    const result = results(dir);
    Object.assign(result.variants[0]!, over);
    writeFileSync(join(dir, 'results.json'), JSON.stringify({ ...result, notRun }));
    return dir;
  }

  it('runs what failed, was inconclusive or not run, as it was run', async () => {
    const w = world();
    const first = await spoilt(w, { verdict: 'fail', kind: 'violation' }, ['quit.away[role=server,driver=none]']);
    expect(await w.run('run', '--rerun-failed', first, '--quiet')).toBe(0);
    const again = results(newest(w, 'reports'));
    expect(ids(again).sort()).toEqual(['quit.away[role=server,driver=none]', QUIT]);
    expect(again.selection.profiles).toEqual(['ovs-dpdk-2.15']);
    const unsure = await spoilt(w, { verdict: 'inconclusive' }, ['quit.away[role=server,driver=none]']);
    expect(await w.run('run', 'quit.connected', '--rerun-failed', unsure, '--quiet')).toBe(0);
    expect(ids(results(newest(w, 'reports')))).toEqual([QUIT]);
  });

  it('runs what a dry run discovers, too, by the selection of before', async () => {
    const w = world();
    const dry = 'sweep.every-message[role=server,phase=quit,pairs=1,cut=none,machine=microvm]';
    const first = await spoilt(w, {}, [dry]);
    const { selection, ...rest } = results(first);
    const wide = { selectors: ['sweep.every-message'], roles: ['server'], machines: ['microvm'], selection: 'full' };
    writeFileSync(join(first, 'results.json'), JSON.stringify({ ...rest, selection: { ...selection, ...wide } }));
    expect(await w.run('run', '--rerun-failed', first, '--quiet')).not.toBe(2);
    const again = ids(results(newest(w, 'reports')));
    expect(again[0]).toBe(dry);
    expect(again.length).toBeGreaterThan(3);
  });

  it('looks at the selectors first, and says what is left of them', async () => {
    const w = world();
    const first = await spoilt(w, { verdict: 'inconclusive' });
    expect(await w.run('run', 'leave.many', '--rerun-failed', first)).toBe(0);
    expect(w.err).toContain('nothing to run again');
    expect(await w.run('run', 'leaf.many', '--rerun-failed', first)).toBe(2);
  });

  it('refuses a profile that there is not any more', async () => {
    const w = world();
    const first = await spoilt(w, { verdict: 'inconclusive' });
    const { selection, ...rest } = results(first);
    writeFileSync(
      join(first, 'results.json'),
      JSON.stringify({ ...rest, selection: { ...selection, profiles: ['gone'] } }),
    );
    expect(await w.run('run', '--rerun-failed', first)).toBe(2);
    expect(w.err).toMatch(/no profile is called gone \(one of ovs-dpdk-2\.15, /);
  });

  it('has nothing to do after a run that was as expected', async () => {
    const w = world();
    const first = await spoilt(w, {});
    const before = readdirSync(join(w.cwd, 'reports'));
    expect(await w.run('run', '--rerun-failed', first)).toBe(0);
    expect(w.err).toContain('nothing to run again');
    expect(readdirSync(join(w.cwd, 'reports'))).toEqual(before);
  });
});
