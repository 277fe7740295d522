import { describe, expect, it } from 'vitest';
import { conformance, renderSheet } from '../../src/report/index.js';
import type { RequirementResult } from '../../src/runner/index.js';
import { broken, contract, runOf, variant } from './fixtures.js';

const held = (requirement: string): RequirementResult => ({
  requirement,
  judgement: { outcome: 'hold', seen: 'fine', events: [] },
});
const r1 = broken('R1', 'crash', 'died', [1]);
const good = variant({ variant: 'good', requirements: [held('R1'), held('R8')] });
const bad = variant({ variant: 'bad', verdict: 'fail', kind: 'crash', requirements: [r1, held('R8')] });
const expectation = { state: 'met', place: '', reason: '', reference: '', broken: ['R1'], held: [], more: [] } as const;
const known = { ...bad, expectation: { ...expectation, broken: ['R1'], held: [], more: [] } };
const client = variant({ variant: 'client', role: 'client', requirements: [held('R1')] });

describe('conformance', () => {
  it('is broken by one break, a known one too', () => {
    for (const failed of [bad, known])
      expect(conformance({ variants: [good, failed] }, contract, 'server', 'must')).toBe('not conforming');
    expect(conformance({ variants: [good] }, contract, 'server', 'must')).toBe('conforming');
  });

  it('is nothing that was not tested, by role and by level', () => {
    expect(conformance({ variants: [good] }, contract, 'client', 'must')).toBe('not tested');
    expect(conformance({ variants: [good] }, contract, 'server', 'should')).toBe('not tested');
    expect(conformance({ variants: [bad, client] }, contract, 'client', 'must')).toBe('conforming');
  });
});

describe('the summary sheet', () => {
  it('says whether QEMU conforms, what broke, and what was not tested and why', () => {
    const skipped = variant({ variant: 'skipped', verdict: 'skip', reason: 'needs QEMU 9.2' });
    const result = runOf([good, known, client, skipped]);
    const selection = { ...result.selection, roles: ['server' as const, 'client' as const] };
    const text = renderSheet({ ...result, selection }, contract);
    expect(text).toContain(`\nbuild id   ${'cd'.repeat(20)}\n`);
    expect(text).toContain('\nhost       Debian GNU/Linux 12, Linux 6.1.0, x64, 2 CPUs (A CPU)\n');
    expect(text).toMatch(/\nlevel +QEMU listens \(server\) +QEMU dials \(client\)\nmust +NOT CONFORMING +CONFORMING\n/);
    expect(text).toContain('server  R1 (must) A peer that closes never ends QEMU');
    expect(text).toContain('broken in 1 of 2 variants, all known of this build; first: bad');
    expect(text).toContain('1 variant skipped: needs QEMU 9.2');
    expect(text).toContain('client  R8 A listening QEMU dials nobody: no variant gave occasion to judge it');
  });

  it('says so when nothing broke', () =>
    expect(renderSheet(runOf([good]), contract)).toContain('\nNo requirement was broken.\n'));

  it('is the same for the same result, and shows no control characters of a QEMU', () => {
    const run = runOf([{ ...bad, variant: 'bad\x1b[2J' }]);
    expect(renderSheet(run, contract)).toBe(renderSheet(structuredClone(run), contract));
    expect(renderSheet(run, contract)).not.toContain('\x1b');
  });
});
