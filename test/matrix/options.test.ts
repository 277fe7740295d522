import { describe, expect, it } from 'vitest';
import { HELP, parseOptions } from './options.js';
import { releases } from './releases.js';

const parse = (...args: string[]) => parseOptions(args, '/here');

describe('the options of the matrix', () => {
  it('are all releases, and reports in the current folder, by default', () => {
    expect(parse()).toMatchObject({ releases, out: '/here/reports' });
    expect(parse()!.jobs).toBeGreaterThan(0);
  });

  it('choose releases, oldest first', () => {
    expect(parse('sid', 'bullseye')!.releases.map(({ suite }) => suite)).toEqual(['bullseye', 'sid']);
  });

  it('take a mirror for a release', () => {
    const url = 'http://archive.debian.org/debian';
    expect([...parse('--mirror', `bullseye=${url}`, '--jobs', '3', '--out', 'x')!.mirrors]).toEqual([
      ['bullseye', url],
    ]);
  });

  it('are explained', () => {
    expect(parse('--help')).toBeUndefined();
    for (const { suite } of releases) expect(HELP).toContain(suite);
  });

  it.each([
    [['potato'], 'there is no release potato'],
    [['--mirror', 'bullseye'], '--mirror takes SUITE=URL, not bullseye'],
    [['--mirror', 'potato=http://x/'], 'there is no release potato'],
    [['--selection', 'all'], '--selection takes quick, standard, full, guest, not all'],
    [['--jobs', '0'], '--jobs takes a whole number from 1 up, not 0'],
    [['--out', ''], '--out needs a value'],
    [['--colour'], "Unknown option '--colour'"],
  ])('that are wrong are refused: %j', (args, message) => {
    expect(() => parse(...args)).toThrow(message);
  });
});
