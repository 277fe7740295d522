import { describe, expect, it } from 'vitest';
import { ConsoleReporter, type TextStream } from '../../src/report/console.js';
import { contract, crashed, known, runOf, stale, variant } from './fixtures.js';

class Stream implements TextStream {
  text = '';
  columns = 60;
  constructor(readonly isTTY: boolean) {}
  write(text: string): void {
    this.text += text;
  }
}

function told(isTTY: boolean, env: NodeJS.ProcessEnv, quiet = false, results = [variant(), crashed]) {
  const stdout = new Stream(isTTY);
  const stderr = new Stream(isTTY);
  const reporter = new ConsoleReporter({ stdout, stderr, env, contract, quiet });
  const result = runOf(results);
  reporter.onStart({ total: 2, jobs: 2, qemu: result.qemu, out: 'reports/1' });
  for (const one of result.variants) reporter.onVariantStart({ id: one.variant });
  for (const one of result.variants) reporter.onVariantEnd(one);
  reporter.onEnd(result, 'reports/1');
  return { stdout: stdout.text, stderr: stderr.text };
}

describe('ConsoleReporter', () => {
  it('writes a line for each variant into a pipe, and the summary to stdout', () => {
    const { stdout, stderr } = told(false, {});
    expect(stderr).toBe(`\
QEMU 7.2.22 (/usr/bin/qemu-system-x86_64): 2 variants, 2 at a time, reports in reports/1
No failure of this build is known: every one counts
1/2  PASS          server.absence.short[away=0ms]  1.23 s
2/2  CRASH         server.absence.beyond-timer[away=3.1s]: R1: QEMU was killed by SIGABRT  1.23 s
`);
    expect(stdout).toMatch(/^CRASH {2}QEMU died/);
  });

  it('redraws one line on a terminal, no longer than it is wide, and keeps failures', () => {
    const { stderr } = told(true, {});
    const drawn = stderr.split('\r\x1b[K').filter((text) => /^\d\/2/.test(text));
    expect(drawn.length).toBeGreaterThan(2);
    for (const line of drawn) expect(line.length).toBeLessThan(60);
    expect(stderr).toContain('beyond-timer[away=3.1s]: R1: QEMU was killed');
    expect(stderr).not.toContain('PASS');
    expect(stderr.endsWith('\r\x1b[K')).toBe(true);
  });

  it('tells a known failure and a stale expectation as what they are', () => {
    const { stderr } = told(false, {}, false, [known, stale]);
    expect(stderr).toContain(
      '1/2  EXPECTED      server.absence.beyond-timer[away=3.1s]: R1, R8 broke: It dials itself.',
    );
    expect(stderr).toContain('2/2  STALE         server.absence.short[away=1s]: it passes, but mine.yaml:4');
    const live = told(true, {}, false, [known, stale]).stderr;
    expect(live).toContain('STALE');
    expect(live).not.toContain('EXPECTED');
    expect(live).toContain('1 expected');
  });

  it('colours only a terminal, and not when NO_COLOR is set', () => {
    expect(told(true, {}).stdout).toContain('\x1b[31m');
    expect(told(true, { NO_COLOR: '1' }).stdout).not.toContain('\x1b[');
    expect(told(false, {}).stdout).not.toContain('\x1b[');
  });

  it('does not redraw in CI, even on a terminal', () => {
    expect(told(true, { CI: 'true' }).stderr).not.toContain('\r');
  });

  it('says nothing but the summary when quiet', () => {
    const { stdout, stderr } = told(true, {}, true);
    expect(stderr).toBe('');
    expect(stdout).toContain('CRASH');
  });
});
