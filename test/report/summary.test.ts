import { describe, expect, it } from 'vitest';
import { banner, renderSummary } from '../../src/report/summary.js';
import { broken, contract, crashed, exceeded, known, plain, runOf, stale, variant } from './fixtures.js';

const skipped = variant({
  variant: 'client.interval.fraction',
  verdict: 'skip',
  reason: 'this QEMU has no reconnect-ms',
});
const unsure = variant({ variant: 'quit.away', verdict: 'inconclusive', reason: 'no file descriptors left' });
const violated = variant({
  variant: 'quit.connected',
  verdict: 'fail',
  kind: 'violation',
  requirements: [broken('R8', 'violation', 'a dial', [])],
});
const hung = variant({
  variant: 'leave.idle',
  verdict: 'fail',
  kind: 'hang',
  requirements: [broken('R1', 'hang', 'no answer', [])],
});

describe('banner', () => {
  it.each([
    [[variant(), skipped], 'PASS  QEMU kept the reconnect contract in the one variant'],
    [[variant(), variant()], 'PASS  QEMU kept the reconnect contract in all 2 variants'],
    [[variant(), unsure], 'INCONCLUSIVE  the tester could not judge 1 of 2 variants'],
    [[violated, unsure], 'FAIL  QEMU broke the reconnect contract in 1 of 2 variants'],
    [[violated, hung], 'HANG  QEMU hung in 1 of 2 variants'],
    [[violated, hung, crashed, skipped], 'CRASH  QEMU died in 1 of 3 variants'],
    [
      [known, variant()],
      'AS EXPECTED  QEMU kept the reconnect contract in 1 of 2 variants, and failed in the rest as is known of it',
    ],
    [[known, stale], 'STALE  QEMU did better than is expected in 1 of 2 variants'],
    [[known, stale, violated], 'FAIL  QEMU broke the reconnect contract in 1 of 3 variants'],
    [[exceeded, stale], 'CRASH  QEMU died in 1 of 2 variants'],
    [[known, unsure], 'INCONCLUSIVE  the tester could not judge 1 of 2 variants'],
    [[skipped], 'NOTHING RAN  the one variant was skipped'],
  ])('names the worst first', (variants, text) => {
    expect(banner(runOf(variants), plain)).toBe(text);
  });
  it('tells of what was not run, without hiding a failure', () => {
    const notRun = ['a', 'b'];
    expect(banner(runOf([variant()], { notRun }), plain)).toBe(
      'INCOMPLETE  no failure in the 1 variant that ran; 2 were not run',
    );
    expect(banner(runOf([crashed], { notRun }), plain)).toMatch(/^CRASH .*; 2 were not run after that$/);
    expect(banner(runOf([]), plain)).toBe('NOTHING RAN  no variant falls to this shard');
  });
  it('tells of an interruption, without hiding a failure', () => {
    expect(banner(runOf([variant()], { interrupted: true }), plain)).toMatch(
      /^INTERRUPTED {2}no failure in the 1 variant/,
    );
    expect(banner(runOf([crashed], { interrupted: true }), plain)).toMatch(/^CRASH .*the run was interrupted$/);
  });
});

describe('renderSummary', () => {
  it('shows a failure with clause, evidence, command and timeline', () => {
    expect(renderSummary(runOf([crashed, variant()], { exitCode: 3 }), 'reports/1', contract, plain)).toBe(`\
CRASH  QEMU died in 1 of 2 variants
1 pass, 1 fail (1 crash); QEMU 7.2.22 (/usr/bin/qemu-system-x86_64), 41.00 s
Known failures: none

CRASH  server.absence.beyond-timer[away=3.1s]
  A listening QEMU serves a back-end that returns
  R1 (must) A peer that closes never ends QEMU
    requires  QEMU keeps R1.
    allowed   nothing else
    seen      QEMU was killed by SIGABRT
  R8 (must) A listening QEMU dials nobody
    requires  QEMU keeps R8.
    allowed   nothing else
    seen      QEMU dialled its own socket
  events (> = the verdict rests on it)
     +0.000 s  session 1 ends by peer: close
  >  +0.100 s  a connection at QEMU's own path that is not the tester's (inodes 41, 42)
  >  +0.200 s  stderr: tcp_chr_change_state: Assertion \`x' failed.\\x1b[0m
  >  +0.300 s  QEMU ends: killed by SIGABRT (unasked)
  again     vhost-reconnect run 'server.absence.beyond-timer[away=3.1s]'
  timeline  reports/1/timelines/x.jsonl

Reports and timelines: reports/1
CRASH  QEMU died in 1 of 2 variants; exit code 3
`);
  });

  it('tells a known failure in one line, and a stale expectation with what to do', () => {
    const run = runOf([known, stale], { expectations: { file: 'mine.yaml' } });
    const text = renderSummary(run, 'out', contract, plain);
    expect(text).toContain('\n1 pass, 1 fail (all expected), 1 stale; QEMU');
    expect(text).toContain('\nKnown failures: mine.yaml\n');
    expect(text).toContain(
      '\nEXPECTED  server.absence.beyond-timer[away=3.1s]: R1, R8 broke: It dials itself. (defect:x; mine.yaml:4)\n',
    );
    expect(text).toContain(
      '\nSTALE  server.absence.short[away=1s]: it passes, but mine.yaml:4 expects R1 to break: mend or remove the entry\n',
    );
    expect(text).not.toContain('requires');
  });

  it('shows a failure beyond what is expected like any other', () => {
    const text = renderSummary(runOf([exceeded, known]), 'out', contract, plain);
    expect(text).toContain('0 pass, 2 fail (1 crash, 1 expected); QEMU');
    expect(text).toContain('\nCRASH  server.absence.beyond-timer[away=3.1s]\n');
    expect(text).toContain('R8 is not expected, or not in this way, by mine.yaml:4');
    expect(text).not.toContain('the same in');
  });

  it('tells one cause once', () => {
    const same = Array.from({ length: 13 }, (_, i) => ({ ...violated, variant: `quit.v${i}` }));
    const text = renderSummary(runOf(same), 'out', contract, plain);
    expect(text.match(/requires/g)).toHaveLength(1);
    expect(text).toContain('the same in 12 more variants:');
    expect(text).toContain('... and 2 more, see results.json');
  });

  it('gives reasons for what could not be judged and what was skipped', () => {
    const text = renderSummary(runOf([unsure, skipped]), 'out', contract, plain);
    expect(text).toContain(
      "INCONCLUSIVE  no file descriptors left\n    quit.away\n  again     vhost-reconnect run 'quit.away'\n  timeline  out/timelines/x.jsonl\n",
    );
    expect(text).toContain('SKIPPED  this QEMU has no reconnect-ms\n    client.interval.fraction\n');
  });

  it.each([
    [[variant()], 0, /\nPASS {2}QEMU kept .*; exit code 0\n$/],
    [[violated, variant()], 1, /\nFAIL {2}QEMU broke .*; exit code 1\n$/],
    [[unsure], 4, /\nINCONCLUSIVE {2}the tester .*; exit code 4\n$/],
  ])('ends with the verdict and the exit code', (variants, exitCode, last) => {
    expect(renderSummary(runOf(variants, { exitCode }), 'out', contract, plain)).toMatch(last);
  });

  it('tabulates outages by role', () => {
    const outage = (restartMs: number) => ({ session: 1, awayMs: 200, restartMs, completedByQemu: 0 });
    const text = renderSummary(
      runOf([
        variant({ outages: [outage(4), outage(20), outage(6)] }),
        variant({ role: 'client', outages: [outage(1500)] }),
      ]),
      'out',
      contract,
      plain,
    );
    expect(text).toContain(`\
Outages                                       count        min     median        max
server  back-end away                             3     200 ms     200 ms     200 ms
server  return to rings running                   3     4.0 ms     6.0 ms      20 ms
client  back-end away                             1     200 ms     200 ms     200 ms
client  return to rings running                   1     1.50 s     1.50 s     1.50 s
`);
  });
});
