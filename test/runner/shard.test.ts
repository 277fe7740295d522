import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { builtinCases, loadCatalogue, vocabulary } from '../../src/cases/index.js';
import { allVariants } from '../../src/cli/catalogue.js';
import { recordedDurations, shardOf } from '../../src/runner/index.js';

const parts = <T>(items: readonly T[], cost: (item: T) => number, of: number) =>
  Array.from({ length: of }, (_, i) => shardOf(items, cost, { index: i + 1, of }));

describe('shardOf', () => {
  it('divides any items: nothing twice, nothing left out, each part in order', () =>
    fc.assert(
      fc.property(fc.array(fc.nat(1000)), fc.integer({ min: 1, max: 9 }), (costs, of) => {
        const items = costs.map((cost, id) => ({ id, cost }));
        const shards = parts(items, ({ cost }) => cost, of);
        expect(shards.flat().sort((a, b) => a.id - b.id)).toEqual(items);
        for (const shard of shards) expect(shard).toEqual(shard.toSorted((a, b) => a.id - b.id));
      }),
    ));

  it('divides so that no part costs more than another by more than one item', () =>
    fc.assert(
      fc.property(fc.array(fc.nat(1000), { minLength: 1 }), fc.integer({ min: 1, max: 9 }), (costs, of) => {
        const items = costs.map((cost, id) => ({ id, cost }));
        const sums = parts(items, ({ cost }) => cost, of).map((part) => part.reduce((sum, { cost }) => sum + cost, 0));
        expect(Math.max(...sums) - Math.min(...sums)).toBeLessThanOrEqual(Math.max(...costs));
      }),
    ));
});

describe('recordedDurations', async () => {
  const variants = allVariants(await loadCatalogue([builtinCases], vocabulary));

  it('knows the catalogue: shards of it take as long as each other', () => {
    const cost = recordedDurations();
    const sums = parts(variants, cost, 4).map((part) => part.reduce((sum, variant) => sum + cost(variant), 0));
    expect(Math.max(...sums) / Math.min(...sums)).toBeLessThan(1.01);
    expect(new Set(variants.map(cost)).size).toBeGreaterThan(100);
  });

  it('counts the waits, and takes the usual for a case that nobody ever ran', () => {
    const [any] = variants;
    const cost = recordedDurations();
    expect(cost({ ...any!, minimumMs: 5000 }) - cost({ ...any!, minimumMs: 1000 })).toBe(4000);
    const unknown = cost({ ...any!, caseId: 'of.somebody', minimumMs: 0 });
    expect(unknown).toBeGreaterThan(0);
    expect(cost({ ...any!, caseId: 'of.another', minimumMs: 0 })).toBe(unknown);
  });
});
