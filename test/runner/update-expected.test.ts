import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { builtinCases, loadCatalogue, vocabulary } from '../../src/cases/index.js';
import { allVariants } from '../../src/cli/catalogue.js';
import { updateExpectations, type VariantResult } from '../../src/runner/index.js';
import { broken, runOf, variant } from '../report/fixtures.js';

const facts = { version: '9.1.2', versionText: 'QEMU emulator version 9.1.2 (v9.1.2-dirty (x86/64))' };
const catalogue = allVariants(await loadCatalogue([builtinCases], vocabulary));
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
  updateExpectations(text, runOf(results), facts, catalogue);
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

const one = `case: '${named('server', 'none')}', requirements: [R4], reason: One., reference: 'defect:one'`;
const head = 'build: { from: 9.1.0, below: 9.2.0, package: .* }\nexpected:';
const wrongBlock = `${head}\n- { ${one} }\n`;
const wrongFlow = `${head} [{ ${one} }]\n`;

describe('updateExpectations', () => {
  it('makes a file for this very build, and marks what nobody has looked into', () => {
    const {
      text,
      changed,
      unexplained: open,
    } = update(undefined, result('server', 'none', ['R4', 'R2']), result('client', 'none', []));
    expect(parse(text)).toEqual({
      build: { from: '9.1.2', below: '9.1.3', package: 'v9\\.1\\.2-dirty \\(x86\\/64\\)' },
      expected: [{ case: named('server', 'none'), requirements: ['R4', 'R2'], ...unexplained }],
    });
    expect([changed, open]).toEqual([1, 1]);
    expect(entries(update(undefined, result('server', 'none', [])).text)).toEqual([]);
  });

  it('calls what does not break in each repetition what it is', () => {
    const { text } = update(undefined, result('server', 'none', ['R4', 'R2']), result('server', 'none', ['R2']));
    expect(entries(text)).toEqual([
      { case: named('server', 'none'), requirements: ['R2'], may: ['R4'], ...unexplained },
    ]);
  });

  it('leaves an entry that was right as it is written', () => {
    const { text, changed } = update(
      file,
      result('server', 'none', ['R4'], stands('met', 5)),
      result('client', 'none', []),
    );
    expect(changed).toBe(0);
    expect(text).toBe(file);
    const added = update(
      file,
      result('server', 'none', ['R4'], stands('met', 5)),
      result('server', 'none', ['R2'], {
        machine: 'pc',
        variant: 'quit.away[role=server,driver=none,machine=pc]',
        case: 'quit.away',
      }),
    );
    expect(added.text.startsWith(file)).toBe(true);
    expect(entries(added.text)).toHaveLength(3);
  });

  it('takes out what held, and keeps what the entry says of variants that were not run', () => {
    const { text } = update(file, result('server', 'none', [], stands('stale', 5)));
    const kept = entries(text).filter((entry) => 'requirements' in entry) as unknown as {
      case: string;
      reason: string;
    }[];
    expect(kept.map((entry) => entry.case)).not.toContain(named('server', 'none'));
    expect(kept.length).toBeGreaterThan(2);
    for (const entry of kept) expect(entry).toMatchObject({ requirements: ['R4'], reason: 'A reason.' });
    expect(text).toContain('# of ours');
    expect(text).toContain('# beside it');
  });

  it('adds what broke beside it, under the reason that was; without one when nothing of it broke', () => {
    const more = entries(update(file, result('server', 'none', ['R4', 'R9'], stands('exceeded', 5))).text);
    expect(more).toContainEqual({
      case: named('server', 'none'),
      requirements: ['R4', 'R9'],
      reason: 'A reason.',
      reference: 'defect:one',
    });
    const { text, unexplained: open } = update(file, result('server', 'none', ['R9'], stands('exceeded', 5)));
    expect(entries(text)).toContainEqual({ case: named('server', 'none'), requirements: ['R9'], ...unexplained });
    expect(open).toBe(1);
  });

  it.each([wrongBlock, wrongFlow])('leaves an empty list where nothing breaks any more', (before) => {
    const line = before.split('\n').findIndex((text) => text.includes('case')) + 1;
    const after = update(before, result('server', 'none', [], stands('stale', line)));
    expect(parse(after.text)).toMatchObject({ build: { from: '9.1.0' }, expected: [] });
    const worse = update(before, result('server', 'none', ['R2'], stands('exceeded', line)));
    expect(entries(worse.text)).toEqual([{ case: named('server', 'none'), requirements: ['R2'], ...unexplained }]);
  });

  it('minds no entry of another version', () => {
    const other = file.replace('reason: A reason.', 'below: 9.1.1\n    reason: A reason.');
    const list = entries(update(other, result('server', 'none', ['R4'])).text);
    expect(list).toContainEqual({ case: named('server', 'none'), requirements: ['R4'], ...unexplained });
    expect(list[0]).toMatchObject({ case: 'quit.connected[role=server]', below: '9.1.1' });
  });

  it('says nothing of what was not judged', () => {
    const { text } = update(undefined, result('server', 'none', ['R4'], { verdict: 'inconclusive' }));
    expect(entries(text)).toEqual([]);
  });
});
