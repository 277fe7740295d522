import { access, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { runOf, variant } from '../report/fixtures.js';
import { fakeSuite } from './mutation-fixtures.js';
import { runSuite } from './suite-run.js';

const never = new AbortController().signal;
const there = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );

describe('a run of the suite', () => {
  it('has the defect in its QEMU, and leaves its reports in the folder', async () => {
    const { suite, qemu, out, answer } = await fakeSuite();
    answer('theme.name', runOf([variant({ variant: 'seen.it' })]));
    const run = await runSuite({
      selection: 'full',
      suite,
      qemu,
      defect: 'theme.name',
      jobs: 3,
      dir: join(out, 'one'),
      signal: never,
    });
    expect(run?.variants.map(({ variant }) => variant)).toEqual(['seen.it']);
    expect((await readdir(join(out, 'one'))).sort()).toEqual(['qemu', 'results.json', 'tester.log', 'timelines']);
  });

  it('has no defect when none is asked for, whatever the environment says', async () => {
    const { suite, qemu, out, answer } = await fakeSuite();
    answer('no-defect', runOf([]));
    vi.stubEnv('VHOST_RECONNECT_DEFECT', 'theme.name');
    vi.stubEnv('VHOST_RECONNECT_ROLE', 'client');
    try {
      expect(await runSuite({ selection: 'full', suite, qemu, jobs: 3, dir: out, signal: never })).toBeDefined();
    } finally {
      vi.unstubAllEnvs();
    }
  });

  it.each([
    ['quick', false, '--level should --selection quick'],
    ['standard', true, '--level should --selection standard --fail-fast'],
  ] as const)('asks for the selection %s, to the end: %s', async (selection, failFast, words) => {
    const { suite, out, answer } = await fakeSuite();
    answer('installed', runOf([]));
    await runSuite({ selection, failFast, suite, jobs: 3, dir: out, signal: never });
    const said = await readFile(join(out, 'tester.log'), 'utf8');
    expect(said.replace(/ --jobs 3 --out \S+/, '').trim()).toBe(`--quiet ${words}`);
  });

  it('leaves the choice of QEMU to the tester when none is given', async () => {
    const { suite, out, answer } = await fakeSuite();
    answer('installed', runOf([]));
    expect(await runSuite({ selection: 'full', suite, jobs: 3, dir: out, signal: never })).toBeDefined();
    expect(await there(join(out, 'qemu'))).toBe(false);
  });

  it.each([1, 3, 4])('takes exit code %i for an answer', async (code) => {
    const { suite, out, answer } = await fakeSuite();
    answer('installed', { ...runOf([]), code });
    expect(await runSuite({ selection: 'full', suite, jobs: 3, dir: out, signal: never })).toBeDefined();
  });

  it('passes on the last words of one that did not come to its end', async () => {
    const { suite, qemu, out, answer } = await fakeSuite();
    answer('no-defect', { code: 2, said: 'starting\nno space is left' });
    const run = runSuite({ selection: 'full', suite, qemu, jobs: 3, dir: out, signal: never });
    await expect(run).rejects.toMatchObject({
      name: 'Trouble',
      message: 'the suite did not come to its end (2): no space is left',
      hint: `see ${out}`,
    });
    expect(await readFile(join(out, 'tester.log'), 'utf8')).toMatch(/\nstarting\nno space is left\n$/);
  });

  it('is in trouble when it left no results', async () => {
    const { suite, out, answer } = await fakeSuite();
    answer('installed', { code: 4, said: 'a bug of the tester' });
    await expect(runSuite({ selection: 'full', suite, jobs: 3, dir: out, signal: never })).rejects.toThrow(
      'a bug of the tester',
    );
  });

  it('is told to end, and waited for', async () => {
    const { suite, out, ended, waits } = await fakeSuite();
    const controller = new AbortController();
    const run = runSuite({ selection: 'full', suite, jobs: 3, dir: out, signal: controller.signal });
    await waits('installed');
    controller.abort();
    expect(await run).toBeUndefined();
    expect(await ended()).toEqual(['installed']);
  });
});
