import { expect, test } from 'vitest';
import { toRanges } from '../../src/timeline/index.js';

test.each([
  [[], []],
  [[5], [[5, 5]]],
  [
    [1, 2, 3, 7, 8],
    [
      [1, 3],
      [7, 8],
    ],
  ],
  [
    [3, 2, 3, 3, 4],
    [
      [3, 3],
      [2, 3],
      [3, 4],
    ],
  ],
])('%j in the order they came are %j', (seqs, ranges) => {
  expect(toRanges(seqs)).toEqual(ranges);
});
