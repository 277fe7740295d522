import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { worlds } from './world.js';

const world = worlds();
const QUIT = 'quit.connected[role=server,driver=none]';
const wrong = `build: { from: 5.0.0, below: 99.0.0, package: .* }
expected:
  - case: quit.connected[role=server,driver=none,machine=q35]
    requirements: [R4]
    reason: It never does.
    reference: defect:none
`;

it('is kept with the run, as it was', async () => {
  const w = world();
  writeFileSync(join(w.cwd, 'mine.yaml'), wrong);
  await w.run('run', QUIT, '--expected', 'mine.yaml', '--update-expected', '--quiet');
  const [run] = readdirSync(join(w.cwd, 'reports'));
  expect(readFileSync(join(w.cwd, 'reports', run!, 'expected.yaml'), 'utf8')).toBe(wrong);
});

describe('run --update-expected', () => {
  it('makes the file that is not there, by which the next run goes', async () => {
    const w = world();
    expect(await w.run('run', QUIT, '--expected', 'mine.yaml', '--update-expected', '--quiet')).toBe(0);
    expect(w.err).toContain(`${join(w.cwd, 'mine.yaml')}: 0 new failures written\n`);
    expect(readFileSync(join(w.cwd, 'mine.yaml'), 'utf8')).toMatch(/^build:\n {2}from: \d.*\nexpected: \[\]\n$/s);
    expect(await w.run('run', QUIT, '--expected', 'mine.yaml', '--quiet')).toBe(0);
  });

  it('leaves to people what does not break any more, and says where', async () => {
    const w = world();
    writeFileSync(join(w.cwd, 'mine.yaml'), wrong);
    expect(await w.run('run', QUIT, '--expected', 'mine.yaml', '--update-expected', '--quiet')).toBe(1);
    expect(w.out).toMatch(/^STALE/);
    expect(w.err).toMatch(/to be mended by hand: .*mine\.yaml:3 \(stale\)\n/);
    expect(readFileSync(join(w.cwd, 'mine.yaml'), 'utf8')).toBe(wrong);
  });

  it('refuses what it cannot write, and a file with mistakes, which stays', async () => {
    const w = world();
    expect(await w.run('run', QUIT, '--update-expected')).toBe(2);
    expect(await w.run('run', QUIT, '--update-expected', '--expected', 'none')).toBe(2);
    expect(w.err).toContain('--update-expected has no file to write (name it: --expected FILE)');
    writeFileSync(join(w.cwd, 'mine.yaml'), wrong.replace('R4', 'R999'));
    expect(await w.run('run', QUIT, '--update-expected', '--expected', 'mine.yaml')).toBe(2);
    expect(w.err).toContain('mine.yaml:4:');
    expect(readFileSync(join(w.cwd, 'mine.yaml'), 'utf8')).toContain('R999');
    expect(await w.run('run', QUIT, '--update-expected', '--expected', 'no/such/mine.yaml', '--quiet')).toBe(2);
    expect(w.err).toMatch(/cannot write .*no\/such\/mine\.yaml: there is none/);
    expect(await w.run('run', QUIT, '--update-expected', '--expected', 'mine.yaml', '--shard', '1/2')).toBe(2);
    expect(existsSync(join(w.cwd, 'reports'))).toBe(false);
    expect(existsSync(join(w.cwd, 'no'))).toBe(false);
  });
});
