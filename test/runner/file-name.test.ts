import { describe, expect, it } from 'vitest';
import { fileName } from '../../src/runner/index.js';

describe('fileName', () => {
  it('is what every file system takes', () => {
    expect(fileName('a.b[c=1,d=x-y.z]')).toBe('a.b--c-1--d-x-y.z');
    expect(fileName('a.b')).toBe('a.b');
    expect(fileName('a.b[c=1:2,d=+3]')).toMatch(/^a\.b--c-1-2--d--3\.[0-9a-f]{8}$/);
  });

  it('is another one for another variant, though they differ in what no file name can have', () => {
    const names = ['a:b', 'a+b', 'a-b'].map((value) => fileName(`c.d[x=${value}]`));
    expect(new Set(names).size).toBe(3);
    expect(names[2]).toBe('c.d--x-a-b');
  });
});
