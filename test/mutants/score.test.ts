import { describe, expect, it } from 'vitest';
import { registry } from '../../src/contract/index.js';
import { caught, result } from './mutation-fixtures.js';
import { exitCode } from './report.js';
import { catchingVariants, scoreOf, worthOf } from './score.js';

const missed = result({ id: 'a.missed' });
const listed = result({ id: 'a.listed', undetected: 'it shows in no event' });
const stale = result({ id: 'a.stale', undetected: 'it was so once' }, caught('R5'));
const found = result(
  { id: 'a.found' },
  caught('R7', { variant: 'x', kind: 'hang' }),
  caught('R1', { variant: 'y', kind: 'crash', detectedMs: 200 }),
  caught('R7', { variant: 'y', kind: 'violation', detectedMs: 300 }),
);

describe('the result of a defect', () => {
  it('is the worst that was seen, and the catch that was detected first', () => {
    expect(found).toMatchObject({ verdict: 'caught', kind: 'crash', first: { requirement: 'R7', variant: 'x' } });
    expect(found.caughtBy).toEqual({ R1: ['y'], R7: ['x', 'y'] });
    expect([...catchingVariants(found)].sort()).toEqual(['x', 'y']);
  });

  it('is missed without a catch', () => {
    expect(missed).toMatchObject({ verdict: 'missed', caughtBy: {} });
    expect(missed).not.toHaveProperty('first');
  });
});

describe('the worth of requirements', () => {
  const worth = worthOf([found, stale, missed]);

  it('counts what each caught, and what it alone caught', () => {
    const of = (id: string) => worth.find(({ requirement }) => requirement === id);
    expect(of('R7')).toEqual({ requirement: 'R7', caught: ['a.found'], alone: [] });
    expect(of('R5')).toEqual({ requirement: 'R5', caught: ['a.stale'], alone: ['a.stale'] });
    expect(of('R12')).toEqual({ requirement: 'R12', caught: [], alone: [] });
  });

  it('has all of the contract, in its order', () =>
    expect(worth.map(({ requirement }) => requirement)).toEqual(registry.map(({ id }) => id)));
});

describe('the score', () => {
  it('counts listed defects as missed', () =>
    expect(scoreOf([found, stale, missed, listed])).toEqual({ caught: 2, total: 4 }));
});

describe('the exit code', () => {
  it.each([
    ['0 when all were caught or are listed', [found, listed], false, 0],
    ['1 when one was missed', [found, missed], false, 1],
    ['1 when a listed one was caught', [found, stale], false, 1],
    ['130 when interrupted, whatever was found', [missed], true, 130],
  ] as const)('is %s', (_, results, interrupted, code) => expect(exitCode(results, interrupted)).toBe(code));
});
