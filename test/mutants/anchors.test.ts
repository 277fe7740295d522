import { describe, expect, it } from 'vitest';
import { type Anchors, check, parseAnchors, patched, pin, touchedFiles } from './anchors.js';
import type { Addition } from './defects.js';

const CAT = `#include "osdep.h"

static int feed(int cat);

static int feed(int cat)
{
    /* Cats
       eat. */
    return cat;
}

int pet(int cat)
{
    return feed(cat);
}
`;

const reader = (files: Record<string, string>) => async (file: string) => files[file];
const read = reader({ 'cat.c': CAT });
const place = { file: 'cat.yaml', line: 7, column: 1 };
const at = (line: number, code: string, name = 'feed'): Addition => ({
  file: 'cat.c',
  function: name,
  line,
  code,
  place,
});
const top = (code: string): Addition => ({ file: 'cat.c', top: true, code, place });
/** The lines of the patched file that are neither the source's nor what stands around additions. */
const patch = async (...additions: Addition[]) =>
  (await patched('cat.c', additions, read)).split('\n').filter((line) => !/^#(line|include "defect.h")/.test(line));

describe('additions', () => {
  it('go in before their line, counted in the definition', async () => {
    const text = (await patch(at(1, 'int one;'), at(5, 'five();'), at(6, 'six();'))).join('\n');
    expect(text).toContain('\n\nint one;\nstatic int feed(int cat)\n{\n');
    expect(text).toContain('eat. */\nfive();\n    return cat;\nsix();\n}\n');
  });

  it('come in their order where they meet', async () => {
    const text = (await patch(at(5, 'if (a)'), at(2, 'x'), at(5, '  if (b)\n'), at(5, '    if (c)'))).join('\n');
    expect(text).toContain('if (a)\n  if (b)\n    if (c)\n    return cat;');
  });

  it('at the top come behind the includes', async () => {
    expect((await patch(top('int a;'), top('int b;'))).slice(0, 4)).toEqual([
      '#include "osdep.h"',
      'int a;',
      'int b;',
      '',
    ]);
  });

  it("leave QEMU's lines with their numbers, and have their own of the YAML file", async () => {
    const numbered: string[] = [];
    let [line, file] = [1, 'cat.c'];
    for (const text of (await patched('cat.c', [at(5, 'five();\nmore();'), top('int a;')], read)).split('\n')) {
      const directive = /^#line (\d+) "(.*)"$/.exec(text);
      if (directive) [line, file] = [Number(directive[1]), directive[2]!];
      else numbered.push(`${file}:${line++}: ${text}`);
    }
    const source = CAT.split('\n').map((text, i) => `cat.c:${i + 1}: ${text}`);
    expect(numbered).toEqual(expect.arrayContaining(source));
    expect(numbered.filter((text) => !source.includes(text))).toEqual([
      'cat.c:2: #include "defect.h"',
      'cat.yaml:7: int a;',
      'cat.yaml:7: five();',
      'cat.yaml:8: more();',
    ]);
  });

  it.each([
    ['beyond the function', at(7, 'x'), 'cat.yaml:7: feed has 6 lines, not 7'],
    ['inside of a comment', at(4, 'x'), 'cat.yaml:7: line 4 of feed is inside of a comment, a string or a directive'],
    ['into a function that is not there', at(1, 'x', 'bite'), 'cat.yaml:7: cat.c#bite is not there'],
  ])('do not go in %s', async (_, addition, message) => {
    await expect(patch(addition)).rejects.toThrow(message);
  });
});

describe('anchors', () => {
  const additions = [at(5, 'x'), at(2, 'x', 'pet'), at(3, 'y'), top('z')];

  it('hold version, length and hash of each function, and nothing of its text', async () => {
    const anchors = await pin(additions, '1:7.2-1', read);
    expect(anchors).toEqual({
      source: '1:7.2-1',
      functions: {
        'cat.c#feed': { sha256: expect.stringMatching(/^[0-9a-f]{16}$/), lines: 6 },
        'cat.c#pet': { sha256: expect.stringMatching(/^[0-9a-f]{16}$/), lines: 4 },
      },
    });
    expect(parseAnchors('anchors.json', JSON.stringify(anchors))).toEqual(anchors);
  });

  it('fit another version whose functions are the same, wherever they stand', async () => {
    const anchors = await pin(additions, '1:7.2-1', read);
    const moved = `/* moved */\n\n${CAT.replace('static int feed(int cat);\n', '')}int bite(void)\n{\n}\n`;
    await expect(check(additions, anchors, '1:7.2-2', reader({ 'cat.c': moved }))).resolves.toBeUndefined();
  });

  it('tell of every function that differs', async () => {
    const anchors = await pin(additions, '1:7.2-1', read);
    const other = CAT.replace('return cat;', 'cat++;\n    return cat;').replace('feed(cat)', 'feed(-cat)');
    const refusal = check(additions, anchors, '1:8.0-1', reader({ 'cat.c': other }));
    await expect(refusal).rejects.toThrow(
      'the defects are written for the source 1:7.2-1, and do not fit 1:8.0-1:\n' +
        '  cat.c#feed differs: 7 lines instead of 6\n' +
        '  cat.c#pet differs: other text',
    );
  });

  it.each([
    ['that is gone', CAT.replace('int pet', 'int stroke'), 'cat.c#pet is not there'],
    ['that there are two of', `${CAT}int pet(int cat)\n{\n}\n`, 'cat.c#pet is defined 2 times'],
  ])('tell of a function %s', async (_, text, message) => {
    const anchors = await pin(additions, '1:7.2-1', read);
    await expect(check(additions, anchors, '1', reader({ 'cat.c': text }))).rejects.toThrow(message);
    await expect(pin(additions, '1', reader({ 'cat.c': text }))).rejects.toThrow(message);
  });

  it('tell of a file that is gone, and of a function that was never pinned', async () => {
    const anchors: Anchors = { source: '1', functions: {} };
    await expect(check(additions, anchors, '1', read)).rejects.toThrow('not pinned: cat.c#feed, cat.c#pet');
    await expect(pin(additions, '1', reader({}))).rejects.toThrow('cat.c#feed is not there');
  });

  it('are not written for additions that do not go in', async () => {
    await expect(pin([at(9, 'x')], '1', read)).rejects.toThrow('feed has 6 lines, not 9');
    await expect(pin([{ ...top('x'), file: 'dog.c' }], '1', read)).rejects.toThrow('there is no dog.c in the source');
  });

  it('that are damaged are refused', () => {
    expect(() => parseAnchors('anchors.json', '{"source": 1}')).toThrow('anchors.json is damaged');
    expect(() => parseAnchors('anchors.json', '{')).toThrow('anchors.json is damaged');
  });
});

it('files are touched once each, sorted', () => {
  expect(touchedFiles([{ ...top('x'), file: 'z.c' }, at(1, 'x'), at(2, 'y')])).toEqual(['cat.c', 'z.c']);
});
