import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { builtinCases, expand, loadCatalogue, type Variant, vocabulary } from '../../src/cases/index.js';
import { registry } from '../../src/contract/index.js';
import { machineTypes } from '../../src/qemu/index.js';
import { expectedSchema, loadExpectations, type RequirementResult } from '../../src/runner/index.js';

const cases = await loadCatalogue([builtinCases], vocabulary);
const variants = cases.flatMap((one) => expand(one, { roles: ['server', 'client'], machines: machineTypes }));
const variant = (id: string): Variant => variants.find((one) => one.id === id)!;
const facts = (versionText: string) =>
  ({ versionText, version: /version (\S+)/.exec(versionText)![1] }) as Parameters<typeof loadExpectations>[1];
const MINE = facts('QEMU emulator version 6.2.0 (mine-3.el8)');

const HEAD = "build: { from: 6.0.0, below: 7.0.0, package: 'mine-\\d+\\.el8' }\nexpected:\n";
const ENTRY = '    requirements: [R1]\n    reason: It dies.\n    reference: defect:x\n';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'expected-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

function load(text: string, of = MINE) {
  const file = join(dir, 'mine.yaml');
  writeFileSync(file, text);
  return loadExpectations(file, of, variants);
}
const result = (...broken: string[]) => ({
  verdict: broken.length > 0 ? ('fail' as const) : ('pass' as const),
  requirements: broken.map(
    (requirement): RequirementResult => ({
      requirement,
      judgement: { outcome: 'break', kind: 'violation', seen: '', events: [] },
    }),
  ),
});

describe('an expectation', () => {
  const one = variant('leave.many[role=server]');
  const judge = async (entry: string, ...broken: string[]) => {
    const expectations = await load(`${HEAD}  - case: leave.many\n${entry}`);
    return expectations!.judge(one, result(...broken));
  };
  const both = '    requirements: [R1, R21]\n    may: [R7]\n    reason: It dies.\n    reference: defect:x\n';
  const sometimes = '    may: [R7]\n    reason: A race.\n    reference: defect:x\n';

  it.each([
    ['all that always breaks', both, ['R1', 'R21'], { state: 'met', broken: ['R1', 'R21'] }],
    ['what may break too', both, ['R1', 'R21', 'R7'], { state: 'met' }],
    ['more', both, ['R1', 'R21', 'R8'], { state: 'exceeded', more: ['R8'] }],
    ['something else', both, ['R8'], { state: 'exceeded', more: ['R8'], held: ['R1', 'R21'] }],
    ['less', both, ['R21'], { state: 'stale', held: ['R1'] }],
    ['only what may break', both, ['R7'], { state: 'stale', held: ['R1', 'R21'] }],
    ['nothing', both, [], { state: 'stale', held: ['R1', 'R21'] }],
    ['a race that was lost', sometimes, ['R7'], { state: 'met' }],
  ])('judges a variant that breaks %s', async (_, entry, broken, expected) => {
    expect(await judge(entry, ...broken)).toMatchObject(expected);
  });

  it.each([
    ['as is known', 'it died', undefined, { state: 'met', more: [] }],
    ['otherwise', 'it lied', undefined, { state: 'exceeded', broken: ['R1', 'R21'], more: ['R1'] }],
    ['as is known, and otherwise too', 'it died (and 1 more)', ['it lied'], { state: 'exceeded', more: ['R1'] }],
    ['as is known, twice', 'it died (and 1 more)', ['then it died again'], { state: 'met', more: [] }],
  ])('judges how a requirement breaks: %s', async (_, seen, also, expected) => {
    const expectations = await load(`seen: { R1: 'it died' }\n${HEAD}  - case: leave.many\n${both}`);
    const [first, second] = result('R1', 'R21').requirements as [RequirementResult, RequirementResult];
    const judgement = { outcome: 'break' as const, kind: 'crash' as const, seen, events: [], ...(also && { also }) };
    const requirements = [{ ...first, judgement }, second];
    expect(expectations!.judge(one, { verdict: 'fail', requirements })).toMatchObject(expected);
  });

  it('has nothing to say of a race that was won', async () => {
    expect(await judge(sometimes)).toBeUndefined();
  });

  it('has nothing to say of what was not judged', async () => {
    const expectations = await load(`${HEAD}  - case: leave.many\n${both}`);
    expect(expectations!.judge(one, { verdict: 'inconclusive', requirements: [] })).toBeUndefined();
    expect(expectations!.judge(one, { verdict: 'skip', requirements: [] })).toBeUndefined();
  });

  it('of a requirement that does not count at the level is neither held nor broken', async () => {
    const soft = registry.find(({ level }) => level !== 'must');
    if (!soft) throw new Error('every requirement is a must');
    const entry = both.replace('[R1, R21]', `[R1, ${soft.id}]`);
    expect(await judge(entry, 'R1')).toMatchObject({ state: 'met' });
    const expectations = await load(`${HEAD}  - case: leave.many\n${entry}`);
    expect(expectations!.judge(one, result('R1'), soft.level)).toMatchObject({ state: 'stale', held: [soft.id] });
    expect(expectations!.judge(one, result('R1', soft.id), soft.level)).toMatchObject({ state: 'met' });
  });

  it('tells where it stands and why it is there', async () => {
    expect(await judge(both, 'R1', 'R21')).toMatchObject({
      place: expect.stringMatching(/mine\.yaml:3$/),
      reason: 'It dies.',
      reference: 'defect:x',
    });
  });
});

describe('an entry', () => {
  const named = async (selector: string) => {
    const expectations = await load(`${HEAD}  - case: ${selector}\n${ENTRY}`);
    return variants.filter((one) => expectations!.judge(one, result('R1'))).map(({ id }) => id);
  };

  it('names a theme, a case, or a variant by some of its values in any order', async () => {
    const all = variants.map(({ id }) => id);
    expect(await named('leave')).toEqual(all.filter((id) => id.startsWith('leave.')));
    expect(await named('leave.many')).toEqual(all.filter((id) => id.startsWith('leave.many[')));
    expect(await named('quit.away[driver=none,role=client]')).toEqual([
      'quit.away[role=client,driver=none]',
      'quit.away[role=client,driver=none,machine=pc]',
      'quit.away[role=client,driver=none,machine=microvm]',
    ]);
  });

  it('can name role and machine where the id does not', async () => {
    expect(await named('server.path.untouched[role=server,machine=q35]')).toEqual(['server.path.untouched']);
  });

  it.each([
    ['leave.mani', 'did you mean leave.many'],
    ['leave.many[role=peer]', 'its variants are|did you mean'],
    ['leave.many[rle=server]', 'its variants are|did you mean'],
    ['leave.many[role=server', 'its variants are|did you mean'],
    ['server.path.untouched[role=client]', 'its variants are'],
  ])('that names nothing is a mistake: %s', async (selector, hint) => {
    await expect(named(selector)).rejects.toThrow(
      new RegExp(`mine\\.yaml:3:11: expected a variant of the catalogue, got .*\\((${hint})`),
    );
  });

  it('may not be about a variant of another', async () => {
    const text = `${HEAD}  - case: leave.many\n${ENTRY}  - case: leave[role=server]\n${ENTRY}`;
    await expect(load(text)).rejects.toThrow(
      /mine\.yaml:7:11: expected no variant that another entry names, got leave\.many\[role=server\] \(line 3 /,
    );
  });
});

describe('an entry about what a dry run discovers', () => {
  const dry = variant('sweep.every-message[role=client,phase=reconnect,pairs=1,cut=none]');
  const cut = (value: string) => dry.discovery!.with(value);

  it('names what there is to discover, by patterns too', async () => {
    const expectations = await load(`${HEAD}  - case: sweep[phase=reconnect,cut=SET_OWNER.*.after-*]\n${ENTRY}`);
    const found = (value: string) => expectations!.judge(cut(value), result('R1'))?.state;
    expect(found('SET_OWNER.1.after-read')).toBe('met');
    expect(found('SET_OWNER.2.before-read')).toBeUndefined();
    expect(expectations!.judge(dry, result('R1'))).toBeUndefined();
  });

  it('may be finer than one before it', async () => {
    const finer = ENTRY.replace('R1', 'R2').replace('It dies.', 'It hangs.');
    const text = `${HEAD}  - case: sweep[cut=*.*]\n${ENTRY}  - case: sweep[cut=SET_OWNER.*]\n${finer}`;
    const expectations = await load(text);
    expect(expectations!.judge(cut('GET_FEATURES.1.after-read'), result('R1'))).toMatchObject({ reason: 'It dies.' });
    expect(expectations!.judge(cut('SET_OWNER.1.after-read'), result('R2'))).toMatchObject({ reason: 'It hangs.' });
  });

  it('and about nothing else is a mistake', async () => {
    await expect(load(`${HEAD}  - case: sweep[phase=nowhere,cut=SET_OWNER.*]\n${ENTRY}`)).rejects.toThrow(
      'expected a variant of the catalogue',
    );
  });
});

describe('an expectation file', () => {
  it.each([
    ['an unknown requirement', 'requirements: [R77]', ':4:20: expected R1, R2'],
    ['an unknown key', 'requirement: [R1]', ':4:5: expected one of the keys case, requirements, may'],
    ['nothing that breaks', 'requirements: []', ':3:5: expected a requirement that breaks'],
    ['a requirement twice', 'requirements: [R1, R1]', ':4:19: expected no requirement twice'],
    [
      'both always and sometimes',
      'requirements: [R1]\n    may: [R1]',
      ':3:5: expected no requirement both in requirements and in may',
    ],
  ])('with %s is refused with its place', async (_, line, message) => {
    const text = `${HEAD}  - case: leave.many\n    ${line}\n    reason: x\n    reference: defect:x\n`;
    await expect(load(text)).rejects.toThrow(message);
  });

  it.each([
    ['without a reason', `${HEAD}  - case: leave.many\n    may: [R1]\n    reference: defect:x\n`, 'a value for reason'],
    [
      'with a bad reference',
      `${HEAD}  - case: leave.many\n    may: [R1]\n    reason: x\n    reference: see above\n`,
      ':6:16: expected defect:<name>',
    ],
    ['with a bad version', HEAD.replace('6.0.0', '6.0'), ':1:16: expected a string, got 6'],
    ['with a bad pattern', HEAD.replace("'mine-\\d+\\.el8'", "'mine-('"), 'expected a regular expression'],
    ['with a bad pattern of what is seen', `seen: { R1: '(' }\n${HEAD}`, ':1:13: expected a regular expression'],
    ['with a pattern for nothing', `seen: { R77: x }\n${HEAD}`, ':1:9: expected'],
    ['that is no mapping', '- a\n', ':1:1: expected a mapping'],
    ['that is broken', 'build: [', 'expected YAML 1.2'],
  ])('%s is refused', async (_, text, message) => {
    await expect(load(text)).rejects.toThrow(message);
  });

  it('that is not there is refused', async () => {
    await expect(loadExpectations(join(dir, 'nowhere.yaml'), MINE, variants)).rejects.toThrow(
      'expected a file that can be read, got ENOENT',
    );
  });

  it.each([
    'QEMU emulator version 5.2.0 (mine-3.el8)',
    'QEMU emulator version 7.0.0 (mine-3.el8)',
    'QEMU emulator version 6.2.0 (mine-3.el8.patched)',
    'QEMU emulator version 6.2.0 (not mine-3.el8)',
    'QEMU emulator version 6.2.0',
  ])('is not used for another build: %s', async (text) => {
    await expect(load(`${HEAD}  - case: leave.many\n${ENTRY}`, facts(text))).rejects.toThrow(
      /mine\.yaml:1:1: expected QEMU from 6\.0\.0 to below 7\.0\.0 .*the file is for another build/,
    );
  });
});

describe('the files of the package', () => {
  const used = async (text: string) => (await loadExpectations(undefined, facts(text), variants))?.file;

  it.each([
    ['QEMU emulator version 5.2.0 (Debian 1:5.2+dfsg-11+deb11u3)', 'debian-qemu-5.2.yaml'],
    ['QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)', 'debian-qemu-7.2.yaml'],
    ['QEMU emulator version 10.0.13 (Debian 1:10.0.13+ds-0+deb13u1)', 'debian-qemu-10.0.yaml'],
    ['QEMU emulator version 11.1.3 (Debian 1:11.1.3+ds-1)', 'debian-qemu-11.1.yaml'],
  ])('are found for %s', async (text, file) => {
    expect(await used(text)).toBe(join('cases/expected', file));
  });

  it.each([
    'QEMU emulator version 7.2.22',
    'QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18acme2)',
    'QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18, with defects)',
    'QEMU emulator version 10.0.13 (Debian 1:10.0.13+ds-0ubuntu1)',
    'QEMU emulator version 8.2.2 (Debian 1:8.2.2+ds-0ubuntu1.10)',
  ])('forgive nothing to a build that they are not for: %s', async (text) => {
    expect(await used(text)).toBeUndefined();
  });

  it('are each found: none is there in vain', () => {
    expect(readdirSync(join(builtinCases, 'expected'))).toHaveLength(4);
  });

  it('refer to sections of docs/findings.md that there are', async () => {
    const headings = (await readFile('docs/findings.md', 'utf8')).match(/^## .*$/gm) ?? [];
    const anchors = headings.map((line) =>
      line
        .slice(3)
        .toLowerCase()
        .replace(/[^\w -]/g, '')
        .replaceAll(' ', '-'),
    );
    for (const file of readdirSync(join(builtinCases, 'expected'))) {
      const text = await readFile(join(builtinCases, 'expected', file), 'utf8');
      for (const [, anchor] of text.matchAll(/reference: finding:(\S+)/g)) expect(anchors).toContain(anchor);
    }
  });

  it('have a schema for editors that is up to date (UPDATE_SCHEMA=1 writes it)', async () => {
    const file = join(builtinCases, 'expected.schema.json');
    const text = `${JSON.stringify(expectedSchema(), null, 2)}\n`;
    if (process.env.UPDATE_SCHEMA === '1') await writeFile(file, text);
    expect(await readFile(file, 'utf8')).toBe(text);
  });

  it('start with the line by which editors find the schema', async () => {
    for (const file of readdirSync(join(builtinCases, 'expected')))
      expect(await readFile(join(builtinCases, 'expected', file), 'utf8')).toMatch(
        /^# yaml-language-server: \$schema=\.\.\/expected\.schema\.json\n/,
      );
  });
});
