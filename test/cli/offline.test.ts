import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunResult } from '../../src/runner/index.js';
import { World, worlds } from './world.js';

const world = worlds();
const quiet = 'quit.connected[role=server,driver=none]';

/** A run of a real QEMU: what commands read offline is what a run wrote. */
let dir: string;
beforeAll(async () => {
  const w = new World();
  try {
    await w.run('run', quiet, 'leave.many[role=server]', '--quiet');
    dir = mkdtempSync(join(tmpdir(), 'offline-'));
    cpSync(join(w.cwd, 'reports', readdirSync(join(w.cwd, 'reports'))[0]!), dir, { recursive: true });
  } finally {
    rmSync(w.cwd, { recursive: true, force: true });
  }
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const results = (folder: string) => JSON.parse(readFileSync(join(folder, 'results.json'), 'utf8')) as RunResult;

/** A copy of the run in which something is another way. */
function altered(w: World, change: (result: RunResult) => void): string {
  const copy = join(w.cwd, 'copy');
  cpSync(dir, copy, { recursive: true });
  const result = results(copy);
  change(result);
  writeFileSync(join(copy, 'results.json'), JSON.stringify(result));
  return copy;
}

const breakIt = (kind: 'crash' | 'violation') => (result: RunResult) => {
  const first = result.variants.find(({ variant }) => variant === quiet);
  first!.verdict = 'fail';
  first!.kind = kind;
  const r1 = first!.requirements.find(({ requirement }) => requirement === 'R1')!;
  r1.judgement = { outcome: 'break', kind, seen: 'QEMU is gone', events: [3] };
};

describe('show', () => {
  it('lists the results', async () => {
    const w = world();
    expect(await w.run('show', dir)).toBe(0);
    expect(w.out.split('\n').filter(Boolean)).toHaveLength(2);
    expect(w.out).toContain(`pass          ${quiet}  `);
  });

  it('prints the timeline of the variant that a part of its name means, whole or filtered', async () => {
    const w = world();
    expect(await w.run('show', dir, 'leave.many')).toBe(0);
    expect(w.out).toMatch(/^leave\.many\[role=server\]: pass\n/);
    expect(w.out).toContain('<- GET_FEATURES');
    const all = w.out.split('\n').length;
    w.out = '';
    expect(await w.run('show', dir, 'leave.many', '--only', 'session', '--session', '2')).toBe(0);
    expect(w.out).toMatch(/session 2 opens by dial/);
    expect(w.out).toMatch(/\n2 of \d+ events\n$/);
    expect(w.out.split('\n').length).toBeLessThan(all);
    expect(w.out).not.toContain('session 3');
    w.out = '';
    expect(await w.run('show', dir, 'leave.many', '--only', 'session.open', '--json')).toBe(0);
    const opened = w.out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(opened.length).toBeGreaterThan(5);
    expect(opened.every(({ type }) => type === 'session.open')).toBe(true);
  });

  it.each([
    [['--only', 'sesion'], /no event of the timeline is of type sesion \(did you mean session\?\)/],
    [['--session', '99'], /the timeline has no session 99 \(it has 1, 2/],
    [['--session', 'two'], /the timeline has no session NaN/],
  ])('refuses a filter that nothing of the timeline can pass: %s', async (args, message) => {
    const w = world();
    expect(await w.run('show', dir, 'leave.many', ...args)).toBe(2);
    expect(w.err).toMatch(message);
  });

  it('shows an event that it does not know, or not so, as it is', async () => {
    const w = world();
    const copy = altered(w, () => {});
    const file = join(
      copy,
      'timelines',
      readdirSync(join(copy, 'timelines')).find((name) => name.startsWith('leave'))!,
    );
    const lines = readFileSync(file, 'utf8').split('\n');
    lines[1] = '{"seq":1,"t":1,"type":"of.tomorrow","with":"more"}';
    lines[2] = '{"seq":2,"t":2,"type":"qemu.spawn"}';
    const sent = lines.findIndex((line) => line.includes('"packets.sent"'));
    lines[sent] = `{"seq":${sent},"t":3,"type":"packets.sent"}`;
    writeFileSync(file, lines.join('\n'));
    expect(await w.run('show', copy, 'leave.many')).toBe(0);
    expect(w.out).toContain('of.tomorrow {"with":"more"}\n');
    expect(await w.run('judge', copy)).toBe(2);
    expect(w.err).toMatch(/leave\.many.* cannot be judged: .*\(was it changed\?\)/);
  });

  it('shows what a requirement rests on, and what it demands where it is broken', async () => {
    const w = world();
    const copy = altered(w, breakIt('crash'));
    expect(await w.run('show', copy, quiet, '--requirement', 'r1')).toBe(0);
    expect(w.out).toContain('R1 (must)');
    expect(w.out).toContain('QEMU is gone');
    expect(w.out).toMatch(/\n> +\+[\d.]+ s /);
    expect(w.out).toMatch(/\n1 of \d+ events; > marks/);
  });

  it.each([
    [['leave.manny'], /the run has no variant "leave\.manny" \(did you mean leave\.many/],
    [['role=server'], /2 variants of the run have "role=server" in their name \(say which: /],
    [['leave.many', '--requirement', 'R999'], /was not judged by a requirement R999/],
  ])('refuses %j in one line', async (args, message) => {
    const w = world();
    expect(await w.run('show', dir, ...args)).toBe(2);
    expect(w.err).toMatch(message);
    expect(w.err.trim().split('\n')).toHaveLength(1);
  });
});

describe('compare', () => {
  it('finds a run equal to itself', async () => {
    const w = world();
    expect(await w.run('compare', dir, dir)).toBe(0);
    expect(w.out).toMatch(/\n2 variants unchanged\n$/);
  });

  it('exits as a run would with what is worse, and with 0 when it is better', async () => {
    for (const [kind, code] of [
      ['violation', 1],
      ['crash', 3],
    ] as const) {
      const w = world();
      const copy = altered(w, breakIt(kind));
      expect(await w.run('compare', dir, copy)).toBe(code);
      expect(w.out).toContain(`BROKEN: passed before, fails now (1)\n  ${quiet}\n      before: pass\n`);
      expect(await w.run('compare', copy, dir)).toBe(0);
      expect(w.out).toContain('FIXED: failed before, passes now (1)');
    }
    const w = world();
    const shorter = altered(w, (result) => result.variants.pop());
    expect(await w.run('compare', dir, shorter)).toBe(4);
    expect(await w.run('compare', shorter, dir)).toBe(0);
  });

  it('tells programs the same', async () => {
    const w = world();
    expect(await w.run('compare', dir, altered(w, breakIt('crash')), '--json')).toBe(3);
    expect(JSON.parse(w.out)).toMatchObject({
      schema: 1,
      level: 'must',
      unchanged: 1,
      differences: [{ variant: quiet, change: 'broken', more: ['R1'], fewer: [] }],
    });
  });

  it('refuses what is no run', async () => {
    const w = world();
    expect(await w.run('compare', dir, '.')).toBe(2);
    expect(w.err).toMatch(/no run's folder: results\.json: no such file or directory \(give the folder/);
  });
});

describe('judge', () => {
  it('comes to the verdicts that the run came to', async () => {
    const w = world();
    expect(await w.run('judge', dir)).toBe(0);
    expect(w.out).toBe('2 variants unchanged\n');
  });

  it('shows what the contract of today says otherwise, from the timelines', async () => {
    const w = world();
    expect(await w.run('judge', altered(w, breakIt('crash')))).toBe(1);
    expect(w.out).toContain(`FIXED: failed before, passes now (1)\n  ${quiet}\n      before: crash of R1`);
  });

  it('compares repetitions each with itself, though they came to different things', async () => {
    const w = world();
    const twice = altered(w, (result) => {
      const [first] = result.variants;
      result.variants.push({ ...first!, verdict: 'inconclusive', reason: 'the tester was busy', place: 9 });
    });
    expect(await w.run('judge', twice)).toBe(1);
    expect(w.out).toContain(`~2\n      before: inconclusive\n      now:    pass\n\n1 unclear, 2 variants unchanged`);
  });

  it('refuses a run whose timelines are gone', async () => {
    const w = world();
    const copy = altered(w, () => {});
    rmSync(join(copy, 'timelines'), { recursive: true });
    expect(await w.run('judge', copy)).toBe(2);
    expect(w.err).toMatch(/timelines lie beside results\.json/);
  });
});
