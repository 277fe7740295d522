import fc from 'fast-check';
import { expect, it } from 'vitest';
import { count, intersect, normalize, repeated, subtract, text } from '../../src/contract/ranges.js';
import type { SeqRanges } from '../../src/timeline/index.js';

const ranges = fc.array(
  fc.tuple(fc.nat(40), fc.nat(5)).map(([first, length]): [number, number] => [first, first + length]),
  { maxLength: 8 },
);
const members = (list: SeqRanges) => list.flatMap(([a, b]) => Array.from({ length: b - a + 1 }, (_, i) => a + i));
const set = (list: SeqRanges) => [...new Set(members(list))].sort((a, b) => a - b);

it('computes like sets do', () => {
  fc.assert(
    fc.property(ranges, ranges, (a, b) => {
      expect(members(normalize(a))).toEqual(set(a));
      expect(members(subtract(a, b))).toEqual(set(a).filter((n) => !members(b).includes(n)));
      expect(members(intersect(a, b))).toEqual(set(a).filter((n) => members(b).includes(n)));
      expect(members(repeated(a))).toEqual(set(a).filter((n) => members(a).filter((m) => m === n).length > 1));
      expect(count(normalize(a))).toBe(set(a).length);
    }),
  );
});

it('drops ranges that end before they begin', () => expect(normalize([[5, 3]])).toEqual([]));

it('is written shortly', () => {
  expect(
    text([
      [3, 3],
      [7, 9],
    ]),
  ).toBe('3, 7-9');
  expect(
    text([
      [1, 1],
      [3, 3],
      [5, 5],
      [7, 7],
      [9, 9],
    ]),
  ).toBe('1, 3, 5, 7, ...');
});
