import { describe, expect, it } from 'vitest';
import { shapeOf } from './c-text.js';

const lines = (...text: string[]): string => `${text.join('\n')}\n`;
/** Each function as `name first-last`. */
const extents = (text: string): string[] =>
  shapeOf(text).functions.map(({ name, first, last }) => `${name} ${first}-${last}`);

describe('functions', () => {
  it('are definitions, not the prototypes and uses of the same name', () => {
    const text = lines(
      'static int feed(struct cat *cat);',
      'int (*feeder)(struct cat *) = feed;',
      '',
      'static int feed(struct cat *cat)',
      '{',
      '    return cat ? feed(NULL) : 0;',
      '}',
    );
    expect(extents(text)).toEqual(['feed 4-7']);
  });

  it('start with their return type and end with their brace, whatever the length of the head', () => {
    const text = lines(
      'static const char *',
      'name_of(const struct cat *cat,',
      '        int (*pick)(int a, int b),',
      '        size_t size)',
      '{',
      '    if (size) {',
      '    }',
      '    return "";',
      '}',
      'void pet(void) { }',
    );
    expect(extents(text)).toEqual(['name_of 1-9', 'pet 10-10']);
  });

  it('are not confused by braces in comments, strings, characters and macros', () => {
    const text = lines(
      '/* { ( " */',
      '#define OPEN { /* one " more */ \\',
      '    {{ "',
      "#define QUOTE '\"'",
      'int count(void)',
      '{',
      '    // } "',
      '    const char *s = "}\\"}"; /* }',
      '    } */',
      "    char c = '}', d = '\\'', e = '\"';",
      '    return 0;',
      '}',
      'int next(void)',
      '{',
      '}',
    );
    expect(extents(text)).toEqual(['count 5-12', 'next 13-15']);
  });

  it('may open a brace in each branch of a condition', () => {
    const text = lines(
      'int count(int a)',
      '{',
      '#ifdef MANY',
      '    if (a > 1) {',
      '#elif defined(SOME)',
      '    if (a > 0) {',
      '#else',
      '    if (a) {',
      '#endif',
      '        a = 1;',
      '    }',
      '    return a;',
      '}',
      'int next(void)',
      '{',
      '}',
    );
    expect(extents(text)).toEqual(['count 1-13', 'next 14-16']);
  });

  it('are not types, tables, or macros that look like calls', () => {
    const text = lines(
      'struct cat {',
      '    int (*feed)(void);',
      '} __attribute__((packed));',
      'typedef struct { int a; } Dog;',
      'static const struct cat cats[] = { { feed }, MAKE(1) };',
      'enum { ONE, TWO };',
      'OBJECT_DECLARE(Cat, CAT)',
      '',
      'static GCC_FMT(1, 2) void feed(void)',
      '{',
      '}',
      '',
      'type_init(register_cats)',
    );
    expect(extents(text)).toEqual(['feed 9-11']);
  });

  it('are each told when a condition has two of a name', () => {
    const text = lines('#ifdef A', 'int f(void)', '{', '}', '#else', 'int f(int a)', '{', '}', '#endif');
    expect(extents(text)).toEqual(['f 2-4', 'f 6-8']);
  });
});

describe('open lines', () => {
  it('are those before which code is code', () => {
    const text = lines(
      'int f(void)', // 1
      '{',
      '    /* a comment', // 3
      '       goes on */', // 4: closed
      '    const char *s = "two \\', // 5
      '      lines";', // 6: closed
      '#define A \\', // 7
      '    1', // 8: closed
      '    return 0; /* ends here */', // 9
      '}',
    );
    const { open } = shapeOf(text);
    const closed = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].filter((line) => !open[line]);
    expect(closed).toEqual([4, 6, 8]);
  });
});

describe('the top', () => {
  it('is behind the includes, but not those of a template further down', () => {
    const text = lines('#include "a.h"', '', '#include <b.h>', 'int f(void)', '{', '}', '#include "template.c.inc"');
    expect(shapeOf(text).top).toBe(4);
  });

  it('is outside of the condition that the last include is in', () => {
    const text = lines('#include "a.h"', '#ifdef X', '#include <x.h>', '#define Y', '#endif', 'int f(void)', '{', '}');
    expect(shapeOf(text).top).toBe(6);
  });

  it('is the first line where nothing is included', () => {
    expect(shapeOf(lines('int f(void)', '{', '}')).top).toBe(1);
  });
});
