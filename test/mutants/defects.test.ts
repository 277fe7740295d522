import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseAnchors } from './anchors.js';
import { readIfThere } from './cache.js';
import { loadDefects, loadMutations } from './defects.js';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'vhost-reconnect-defects-'));
});
afterEach(() => rm(dir, { recursive: true }));

const write = (name: string, text: string) => writeFile(join(dir, name), text);
const addition = (code: string) => `{ file: net/cat.c, function: feed, line: 3, code: '${code}' }`;
const defect = (id: string, ...codes: string[]) =>
  `{ id: ${id}, title: T, additions: [${(codes.length > 0 ? codes : [`defect("${id}");`]).map(addition).join(', ')}] }`;

/** What is wrong with a file, each mistake as `line:column: what`. */
async function mistakes(text: string): Promise<string[]> {
  await write('cat.yaml', text);
  const error = await loadMutations(dir).then(
    () => new Error('nothing'),
    (caught: Error) => caught,
  );
  return error.message.split('\n').map((line) => line.replace(`${join(dir, 'cat.yaml')}:`, ''));
}

describe('defects', () => {
  it('are loaded in the order of their files, with the place of their code', async () => {
    await write('b.yaml', `defects: [${defect('b.one')}]\n`);
    await write(
      'a.yaml',
      `# theme
common:
  - file: net/cat.c
    function: feed
    line: 1
    code: count++;
defects:
  - id: a.one
    title: The cat is hungry
    references: [defect:hungry]
    undetected: cats do not speak
    additions:
      - file: net/cat.c
        top: true
        code: |
          int a;
          bool b(void) { return defect_on_return("a.one"); }
`,
    );
    const { defects, additions } = await loadMutations(dir);
    expect(defects.map(({ id }) => id)).toEqual(['a.one', 'b.one']);
    const file = join(dir, 'a.yaml');
    expect(defects[0]).toEqual({
      id: 'a.one',
      title: 'The cat is hungry',
      references: ['defect:hungry'],
      undetected: 'cats do not speak',
      additions: [
        {
          file: 'net/cat.c',
          top: true,
          code: 'int a;\nbool b(void) { return defect_on_return("a.one"); }\n',
          place: { file, line: 16, column: 1 },
        },
      ],
    });
    expect(additions.map(({ code }) => code.split(';')[0])).toEqual(['count++', 'int a', 'defect("b.one")']);
    expect(additions[0]!.place).toEqual({ file, line: 6, column: 11 });
    expect(await loadDefects(dir)).toEqual(defects);
  });

  it.each([
    [
      'an unknown key',
      `defects: [{ id: a.b, title: T, tilte: U, additions: [${addition('defect("a.b")')}] }]`,
      '1:32: expected one of the keys id, title, references, undetected, additions, got "tilte" (did you mean title?)',
    ],
    [
      'an unknown key of the file',
      `defect: [${defect('a.b')}]`,
      '1:1: expected one of the keys common, defects, got "defect" (did you mean defects?)',
    ],
    [
      'a missing title',
      `defects: [{ id: a.b, additions: [${addition('defect("a.b")')}] }]`,
      'expected a value for title (a string), got none',
    ],
    [
      'an id without theme',
      `defects: [${defect('Cat')}]`,
      'expected an id such as chardev.accepts-twice: a theme, a dot, a name, got "Cat"',
    ],
    [
      'a path that leaves the source',
      `defects: [${defect('a.b').replace('net/', '../')}]`,
      'expected the path of a C file of QEMU, such as net/vhost-user.c, got "../cat.c"',
    ],
    ['line 0', `defects: [${defect('a.b').replace('3', '0')}]`, 'expected at least 1, got 0'],
    ['an addition without line', `defects: [${defect('a.b').replace('line: 3, ', '')}]`, 'expected a value for line'],
    [
      'an addition at the top with a line',
      `defects: [${defect('a.b').replace('function: feed', 'top: true')}]`,
      'expected one of the keys file, top, code, got "line"',
    ],
    [
      'an id that is there twice',
      `defects: [${defect('a.b')},\n  ${defect('a.b')}]`,
      '2:9: expected an id of its own, got a.b',
    ],
    [
      'an id that no defect has',
      `defects: [${defect('a.bed', 'defect("a.bed") && defect("a.bad")')}]`,
      'expected the quoted id of a defect in defect(), got a.bad (did you mean a.bed?)',
    ],
    [
      'an id that is computed',
      `defects: [${defect('a.b', 'defect("a.b") || defect( name)')}]`,
      'expected the quoted id of a defect in defect(), got something else',
    ],
    [
      'an unknown id in shared code',
      `common: [${addition('defect_on_return("x.y")')}]\ndefects: [${defect('a.b')}]`,
      '1:60: expected the quoted id',
    ],
    [
      'a defect that its code never asks for',
      `defects: [${defect('a.b')}, ${defect('a.c', 'defect("a.b")')}]`,
      'expected defect("a.c") in the code of this defect, got no use of it',
    ],
    ['broken YAML', 'defects: [', 'expected YAML 1.2, got'],
    ['something else', '- a', '1:1: expected a mapping, got ["a"]'],
  ])('with %s are refused, with the place', async (_, text, message) => {
    expect(await mistakes(text)).toEqual([expect.stringContaining(message)]);
  });

  it('tell the line of a wrong id in their code', async () => {
    const code = 'if (defect("a.b"))\n            return defect("a.x");';
    const text = `defects:\n  - id: a.b\n    title: T\n    additions:\n      - file: a.c\n        top: true\n        code: |\n            ${code}\n`;
    expect(await mistakes(text)).toEqual([expect.stringMatching(/^9:/)]);
  });

  it('tell the mistakes of all files at once', async () => {
    await write('dog.yaml', 'defects: [{}]');
    expect((await mistakes('defects: 1')).length).toBe(4);
  });

  it.each([
    ['without files', () => dir, 'none'],
    ['that is not there', () => join(dir, 'none'), 'ENOENT'],
  ])('from a folder %s are refused', async (_, folder, got) => {
    await expect(loadMutations(folder())).rejects.toThrow(
      `expected a folder with files of defects (*.yaml), got ${got}`,
    );
  });
});

it("the repository's defects are well-formed, and each function that they change is pinned", async () => {
  const { additions } = await loadMutations();
  const file = join(import.meta.dirname, 'anchors.json');
  const { functions } = parseAnchors(file, (await readIfThere(file))!);
  const sites = additions.flatMap((a) => ('function' in a ? [`${a.file}#${a.function}`] : []));
  expect([...new Set(sites)].sort()).toEqual(Object.keys(functions));
});
