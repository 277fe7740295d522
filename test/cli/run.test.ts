import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { registry } from '../../src/contract/index.js';
import type { RunResult } from '../../src/runner/index.js';
import { worlds } from './world.js';

const world = worlds();
const variant = 'quit.connected[role=server,driver=none]';
const reports = (cwd: string) => readdirSync(join(cwd, 'reports')).map((name) => join(cwd, 'reports', name));
/** Why a requirement is not judged in the quick selection: it has no guest of its own, and not every QEMU has all that is judged. */
const KNOWN = ['no guest’s kernel was heard', 'no guest told of its pings', 'QEMU has such events from 10.0 on'];
/** The same on a machine that is so busy that the tester looked too rarely, try after try. */
const STARVED = ['nobody was away for 500 ms'];
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
    // One more where failures of the installed build are known.
    const files = readdirSync(dir!).filter((name) => name !== 'expected.yaml');
    expect(files.sort()).toEqual(['ctrf.json', 'junit.xml', 'report.html', 'report.tap', 'results.json', 'timelines']);
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

  it('judges every requirement without selectors, but for what a guest tells', async () => {
    const w = world();
    const unseen = new Map(registry.map(({ id }) => [id, '']));
    // A busy machine may excuse so much that a requirement has nothing left to judge.
    for (let tries = 3; tries > 0 && [...unseen.values()].some((why) => !KNOWN.includes(why)); tries--) {
      expect(await w.run('run', '--quiet')).toBe(0);
      const { variants, selection } = results(reports(w.cwd).at(-1)!);
      expect(selection.selection).toBe('quick');
      for (const { requirement, judgement } of variants.flatMap(({ requirements }) => requirements)) {
        if (judgement.outcome !== 'not-applicable') unseen.delete(requirement);
        else if (unseen.has(requirement)) unseen.set(requirement, judgement.seen);
      }
    }
    expect([...unseen].filter(([, why]) => ![...KNOWN, ...STARVED].includes(why))).toEqual([]);
  });

  it('runs a case that has no q35 on what it has, unless asked for another', async () => {
    const w = world();
    expect(await w.run('run', 'removal.absent', '--selection', 'standard', '--machine', 'q35')).toBe(2);
    expect(w.err).toContain('nothing selected has role server, client and machine q35');
    expect(await w.run('run', 'removal.absent', '--selection', 'standard')).toBe(0);
    const { variants, selection } = results(reports(w.cwd)[0]!);
    expect(variants.map(({ machine }) => machine)).toEqual(['pc']);
    expect(selection.machines).toEqual(['pc']);
  });

  it('skips what boots a guest where there is none, and says how to get one', async () => {
    const w = world();
    w.env = { VHOST_RECONNECT_GUEST: w.cwd };
    expect(await w.run('run', 'guest.upgrade')).toBe(2);
    expect(w.err).toContain('make guest fetches one');
    expect(await w.run('run', 'guest.upgrade', variant)).toBe(0);
    const { variants } = results(reports(w.cwd)[0]!);
    expect(variants.map(({ case: id, verdict }) => [id, verdict])).toEqual([
      ['quit.connected', 'pass'],
      ['guest.upgrade', 'skip'],
      ['guest.upgrade', 'skip'],
    ]);
    expect(variants[1]!.reason).toBe('there is no guest to boot: make guest fetches one');
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
    await expect.poll(() => w.err).toContain('variant starts');
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
    await expect.poll(() => w.err).toContain('variant starts');
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
  describe('with expectations', () => {
    const file = (text: string) => `build: { from: 5.2.0, below: 99.0.0, package: '.*' }\nexpected:\n${text}`;
    const entry = (id: string) => `  - { case: ${id}, requirements: [R1], reason: It dies., reference: defect:x }\n`;
    const given = (text: string) => {
      const w = world();
      writeFileSync(join(w.cwd, 'mine.yaml'), file(text));
      return w;
    };

    it('says which file it used, by default the one for this build, and repeats the one that was given', async () => {
      const w = given(entry('leave.many'));
      expect(await w.run('run', variant, '--expected', 'mine.yaml')).toBe(0);
      expect(w.err).toMatch(/Known failures of this build: .*mine\.yaml\n/);
      expect(w.out).toMatch(/Known failures: .*mine\.yaml\n/);
      const { expectations, variants } = results(reports(w.cwd)[0]!);
      expect(expectations!.file).toMatch(/mine\.yaml$/);
      expect(variants[0]!.reproduce).toMatch(/ --expected mine\.yaml$/);
      const none = world();
      none.env = { VHOST_RECONNECT_EXPECTED: 'none' };
      expect(await none.run('run', variant)).toBe(0);
      expect(none.err).toContain('No failure of this build is known');
      expect(results(reports(none.cwd)[0]!)).not.toHaveProperty('expectations');
    });

    it('fails for one that is stale', async () => {
      const w = given(entry('quit.connected'));
      writeFileSync(join(w.cwd, 'vhost-reconnect.config.yaml'), 'expected: mine.yaml\n');
      expect(await w.run('run', variant)).toBe(1);
      expect(w.out).toMatch(/^STALE {2}QEMU did better than is expected in 1 of 1 variant\n/);
      expect(w.out).toContain(`STALE  ${variant}: it passes, but`);
      expect(results(reports(w.cwd)[0]!).summary).toMatchObject({ pass: 1, stale: 1, fail: 0 });
    });

    it('stops at the first failure that is not expected', async () => {
      const w = given(entry('quit.connected'));
      const script =
        '#!/bin/sh\ncase "$*" in --version|*"-machine none"*) exec qemu-system-x86_64 "$@" ;; esac\nkill -SEGV $$\n';
      writeFileSync(join(w.cwd, 'crashes.sh'), script, { mode: 0o755 });
      const options = ['--qemu', join(w.cwd, 'crashes.sh'), '--expected', 'mine.yaml', '--fail-fast', '--jobs', '1'];
      expect(await w.run('run', 'quit', '--role', 'server', ...options)).toBe(3);
      const { variants, notRun, summary } = results(reports(w.cwd)[0]!);
      expect(summary.crash).toBe(1);
      expect(notRun).not.toEqual([]);
      expect(variants.filter(({ expectation }) => expectation?.state !== 'met')).toHaveLength(1);
      expect(w.out).toContain(`; ${notRun.length} were not run after that`);
    });

    it('exits 0 when QEMU fails as expected, and 3 when it dies in another variant', async () => {
      const w = given(entry('quit.connected'));
      const script =
        '#!/bin/sh\ncase "$*" in --version|*"-machine none"*) exec qemu-system-x86_64 "$@" ;; esac\nkill -SEGV $$\n';
      writeFileSync(join(w.cwd, 'crashes.sh'), script, { mode: 0o755 });
      const options = ['--qemu', join(w.cwd, 'crashes.sh'), '--expected', 'mine.yaml'];
      expect(await w.run('run', variant, ...options), w.out).toBe(0);
      expect(w.out).toMatch(/^AS EXPECTED {2}/);
      expect(results(reports(w.cwd)[0]!).variants[0]).toMatchObject({
        verdict: 'fail',
        kind: 'crash',
        expectation: { state: 'met' },
      });
      expect(await w.run('run', 'quit.away[role=server,driver=none]', ...options)).toBe(3);
    });

    it.each([
      ['a file that is not there', 'nowhere.yaml', '', 'expected a file that can be read, got ENOENT'],
      ['an entry that names nothing', 'mine.yaml', entry('quit.conected'), 'did you mean quit.connected'],
    ])('refuses %s', async (_, name, text, message) => {
      const w = given(text || entry('quit'));
      expect(await w.run('run', variant, '--expected', name)).toBe(2);
      expect(w.err).toContain(message);
      expect(existsSync(join(w.cwd, 'reports'))).toBe(false);
    });
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
