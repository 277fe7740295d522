import { describe, expect, it } from 'vitest';
import { parseDuration } from '../../src/cases/duration.js';

describe('parseDuration', () => {
  it.each([
    ['0ms', 0],
    ['200ms', 200],
    ['2.9s', 2900],
    ['3.1s', 3100],
    ['0.001ms', 0.001],
    ['6s', 6000],
  ])('%s', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });
  it.each(['3', '3 s', '-1s', '1m', 's', '1.s', ' 1s'])('%s is none', (text) => {
    expect(parseDuration(text)).toBeUndefined();
  });
});
