import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { updateExpectations, type VariantResult } from '../../src/runner/index.js';
import { broken, runOf, variant } from '../report/fixtures.js';

const facts = { version: '9.1.2', versionText: 'QEMU emulator version 9.1.2 (v9.1.2-dirty (x86/64))' };
const id = (role: string, driver: string) => `quit.connected[role=${role},driver=${driver}]`;
const named = (role: string, driver: string) => id(role, driver).replace(']', ',machine=q35]');

/** A result of quit.connected that broke these. */
function result(role: 'server' | 'client', driver: string, breaks: string[], over: Partial<VariantResult> = {}) {
  const verdict = breaks.length > 0 ? 'fail' : 'pass';
  const requirements = breaks.map((requirement) => broken(requirement, 'violation', 'so', [1]));
  return variant({ variant: id(role, driver), role, verdict, requirements, ...over });
}
const stands = (state: 'met' | 'stale' | 'exceeded', line: number): Partial<VariantResult> => ({
  expectation: { state, place: `mine.yaml:${line}`, reason: '', reference: '', broken: [], held: [], more: [] },
});
const update = (text: string | undefined, ...results: VariantResult[]) =>
  updateExpectations(text, runOf(results), facts);
const entries = (text: string) => (parse(text) as { expected: object[] }).expected;
const unexplained = { reason: 'Not explained yet.', reference: 'unexplained' };

const file = `# of ours
build: { from: 9.1.0, below: 9.2.0, package: .* }
expected:
  # a comment
  - case: quit.connected[role=server]
    requirements: [R4]
    reason: A reason.
    reference: defect:one
  - { case: 'quit.connected[role=client]', may: [R2], reason: Another., reference: 'defect:two' } # beside it
`;

describe('updateExpectations', () => {
  it('makes a file for this very build, and marks what nobody has looked into', () => {
    const {
      text,
      added,
      unexplained: open,
    } = update(undefined, result('server', 'none', ['R4', 'R2']), result('client', 'none', []));
    expect(parse(text)).toEqual({
      build: { from: '9.1.2', below: '9.1.3', package: 'v9\\.1\\.2-dirty \\(x86\\/64\\)' },
      expected: [{ case: named('server', 'none'), requirements: ['R4', 'R2'], ...unexplained }],
    });
    expect([added, open]).toEqual([1, 1]);
    expect(entries(update(undefined, result('server', 'none', [])).text)).toEqual([]);
  });

  it('calls what does not break in each repetition what it is', () => {
    const { text } = update(undefined, result('server', 'none', ['R4', 'R2']), result('server', 'none', ['R2']));
    expect(entries(text)).toEqual([
      { case: named('server', 'none'), requirements: ['R2'], may: ['R4'], ...unexplained },
    ]);
  });

  it('leaves what is written to the letter, and adds behind it what no entry names', () => {
    const other = { machine: 'pc', variant: 'quit.away[role=server,driver=none,machine=pc]', case: 'quit.away' };
    for (const before of [file, file.trimEnd(), file.replaceAll('\n', '\r\n'), `${file}# the end\n`]) {
      expect(update(before, result('server', 'none', ['R4'], stands('met', 5))).text).toBe(before);
      const { text, added } = update(before, result('server', 'none', ['R2'], other));
      expect(added).toBe(1);
      expect(text.replace(/ {2}- case: quit\.away\[.*\n(?: {4}.*\n)*/, '').trimEnd()).toBe(before.trimEnd());
      expect(entries(text).at(-1)).toEqual({ case: other.variant, requirements: ['R2'], ...unexplained });
    }
  });

  it('fills an empty list, whatever stands around it', () => {
    for (const list of ['expected: []', 'expected: [] # none yet', 'expected:\n  # none yet\n  []']) {
      const before = `${list}\nbuild: { from: 9.1.0, below: 9.2.0, package: .* }\n`;
      const { text } = update(before, result('server', 'none', ['R4']));
      expect(entries(text)).toEqual([{ case: named('server', 'none'), requirements: ['R4'], ...unexplained }]);
      expect(parse(text)).toMatchObject({ build: { from: '9.1.0' } });
    }
  });

  it('leaves to people what is wrong, and names each place once', () => {
    const { text, added, wrong } = update(
      file,
      result('server', 'none', [], stands('stale', 5)),
      result('server', 'linux', [], stands('stale', 5)),
      result('client', 'none', ['R9'], stands('exceeded', 8)),
    );
    expect([text, added]).toEqual([file, 0]);
    expect(wrong).toEqual(['mine.yaml:5 (stale)', 'mine.yaml:8 (exceeded)']);
  });

  it('knows what a dry run discovered by its entry', () => {
    const cut = 'sweep.every-message[role=server,phase=quit,pairs=1,cut=GET_FEATURES.1.after-read]';
    const found = { variant: cut, case: 'sweep.every-message' };
    const known = `${file}  - { case: 'sweep.every-message[phase=quit]', may: [R1], reason: One., reference: 'defect:one' }\n`;
    expect(update(known, result('server', 'none', ['R1'], found)).added).toBe(0);
    expect(update(file, result('server', 'none', ['R1'], found)).added).toBe(1);
  });

  it('refuses a list that nothing can be put behind', () => {
    const flow = `build: { from: 9.1.0, below: 9.2.0, package: .* }
expected: [{ case: quit.away, may: [R2], reason: Another., reference: 'defect:two' }]
`;
    expect(() => update(flow, result('server', 'none', ['R4']))).toThrow(RangeError);
    expect(update(flow, result('server', 'none', [])).text).toBe(flow);
  });

  it('says nothing of what was not judged', () => {
    const { text } = update(undefined, result('server', 'none', ['R4'], { verdict: 'inconclusive' }));
    expect(entries(text)).toEqual([]);
  });
});
