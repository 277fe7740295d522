import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { RunResult } from '../../src/runner/index.js';
import { worlds } from './world.js';

const world = worlds();
const variant = 'quit.connected[role=server,driver=none]';
const reports = (cwd: string) => readdirSync(join(cwd, 'reports')).map((name) => join(cwd, 'reports', name));
const results = (dir: string) => JSON.parse(readFileSync(join(dir, 'results.json'), 'utf8')) as RunResult;

describe('run', () => {
  it('runs, writes its reports into a folder of its own, and says how it went', async () => {
    const w = world();
    expect(await w.run('run', variant, '--log', 'tester.log')).toBe(0);
    const [dir, ...others] = reports(w.cwd);
    expect(others).toEqual([]);
    expect(w.out).toMatch(/^PASS {2}/);
    expect(w.out).toContain(`Reports and timelines: ${dir}`);
    expect(w.err).toContain(`1/1  PASS          ${variant}`);
    expect(readdirSync(dir!).sort()).toEqual(['junit.xml', 'results.json', 'timelines']);
    const { variants, selection, exitCode } = results(dir!);
    expect(exitCode).toBe(0);
    expect(selection).toMatchObject({
      selectors: [variant],
      roles: ['server', 'client'],
      machines: ['q35'],
      repeat: 1,
    });
    expect(variants[0]).toMatchObject({ variant, verdict: 'pass' });
    expect(variants[0]!.reproduce).toMatch(
      /^vhost-reconnect run 'quit\.connected\[role=server,driver=none\]' --qemu \//,
    );
    const log = readFileSync(join(w.cwd, 'tester.log'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).msg);
    expect(log).toEqual(['QEMU probed', 'run starts', 'variant ended', 'run ended']);
  });

  it('repeats, quietly, on a machine that only the id names', async () => {
    const w = world();
    const id = 'quit.connected[role=client,driver=none,machine=pc]';
    expect(await w.run('run', id, '--repeat', '2', '--quiet')).toBe(0);
    expect(w.err).toBe('');
    expect(results(reports(w.cwd)[0]!).variants.map((one) => [one.variant, one.machine])).toEqual([
      [id, 'pc'],
      [id, 'pc'],
    ]);
  });

  it('is interrupted in order: reports are written, exit code 130', async () => {
    const w = world();
    const done = w.run('run', 'server.absence.for-ever', '--log-level', 'debug');
    await expect.poll(() => w.err, { timeout: 30_000 }).toContain('variant starts');
    w.interrupt();
    expect(w.exited).toBeUndefined();
    w.interrupt();
    expect(w.exited).toBe(130);
    expect(await done).toBe(130);
    expect(results(reports(w.cwd)[0]!)).toMatchObject({ interrupted: true, exitCode: 130 });
    expect(w.err).toContain('interrupted: stopping and writing reports');
    expect(w.out).toMatch(/^INTERRUPTED/);
    expect(w.listeners).toEqual([]);
  });

  it('says so when the folder goes away under it', async () => {
    const w = world();
    const done = w.run('run', 'server.path.untouched', '--log-level', 'debug');
    await expect.poll(() => w.err, { timeout: 30_000 }).toContain('variant starts');
    rmSync(join(w.cwd, 'reports'), { recursive: true });
    writeFileSync(join(w.cwd, 'reports'), '');
    expect(await done).toBe(2);
    expect(w.err).toMatch(/cannot write reports in .*ENOTDIR/);
  });

  it('refuses a folder that it cannot write to', async () => {
    const w = world();
    writeFileSync(join(w.cwd, 'file'), '');
    expect(await w.run('run', variant, '--out', 'file/reports')).toBe(2);
    expect(w.err).toContain('a file is in the way');
    expect(w.err).toContain('choose another folder with --out');
  });
  it('makes no folder for a QEMU that it refuses', async () => {
    const w = world();
    expect(await w.run('run', variant, '--qemu', '/bin/true')).toBe(2);
    expect(existsSync(join(w.cwd, 'reports'))).toBe(false);
  });

  it('does not hang on a folder that the system never makes', async () => {
    const w = world();
    expect(await w.run('run', variant, '--out', '/proc/no/where')).toBe(2);
    expect(await w.run('run', variant, '--log', '/proc/no/where')).toBe(2);
  });
});
