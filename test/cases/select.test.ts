import { describe, expect, it } from 'vitest';
import { picks, SelectorError, select, variantsHint } from '../../src/cases/select.js';
import type { Variant } from '../../src/cases/types.js';

const variants = [
  'server.absence.short[away=0ms]',
  'server.absence.short[away=3.1s]',
  'server.absences',
  'quit.away',
].map((id) => ({ id, caseId: id.replace(/\[.*/, '') }) as Variant);
const ids = (...selectors: string[]) => select(variants, selectors).map(({ id }) => id);

describe('select', () => {
  it('takes all without a selector', () => {
    expect(ids()).toHaveLength(4);
  });
  it.each([
    ['server.absence', ['server.absence.short[away=0ms]', 'server.absence.short[away=3.1s]']],
    ['server', variants.slice(0, 3).map(({ id }) => id)],
    ['server.absence.short[away=3.1s]', ['server.absence.short[away=3.1s]']],
    ['*away*', ['server.absence.short[away=0ms]', 'server.absence.short[away=3.1s]', 'quit.away']],
    ['*.away', ['quit.away']],
    ['server.*', variants.slice(0, 3).map(({ id }) => id)],
  ])('%s', (selector, expected) => {
    expect(ids(selector)).toEqual(expected);
  });
  it('keeps the order of the catalogue and takes nothing twice', () => {
    expect(ids('quit', 'server.absences', '*')).toEqual(variants.map(({ id }) => id));
  });
  it.each([
    ['server.absense', 'did you mean server.absence or server.absences?'],
    [
      'server.absence.short[away=1s]',
      'its variants are server.absence.short[away=0ms] server.absence.short[away=3.1s]',
    ],
    ['zzzzzzzz', 'see `vhost-reconnect list`'],
  ])('refuses %s with a hint', (selector, hint) => {
    expect(() => ids('quit', selector)).toThrow(expect.objectContaining({ code: 'ERR_SELECTOR', selector, hint }));
    expect(() => ids(selector)).toThrow(SelectorError);
  });
  it('names the nearest of many variants, and where the others are', () => {
    const many = ['1s', '2s', '3.1s', '4s', '5s'].map(
      (away) => ({ id: `a.b[away=${away}]`, caseId: 'a.b' }) as Variant,
    );
    expect(variantsHint('a.b[away=3s]', many)).toMatch(/^did you mean a\.b\[away=.*\? See `.* --variants a\.b`$/);
    expect(variantsHint('a.c', many)).toBeUndefined();
  });
  describe('what only a dry run can discover', () => {
    const named = (value: string): Variant => ({ id: `s.m[cut=${value},machine=pc]`, caseId: 's.m' }) as Variant;
    const dry = {
      ...named('none'),
      discovery: {
        key: 'cut',
        with: (value: string) => {
          if (!value.startsWith('SET_')) throw new Error('no cut');
          return named(value);
        },
      },
    } as Variant;
    const all = [...variants, dry];

    it('is made when its whole id is given, without the dry run', () => {
      expect(select(all, ['s.m[cut=SET_OWNER.1.after-read,machine=pc]', 'quit']).map(({ id }) => id)).toEqual([
        'quit.away',
        's.m[cut=SET_OWNER.1.after-read,machine=pc]',
      ]);
    });
    it.each(['s.m[cut=GET.1,machine=pc]', 's.m[cut=SET_OWNER.1]', 's.m[cut=,machine=pc]'])('%s is nothing', (id) => {
      expect(() => select(all, [id])).toThrow(SelectorError);
    });
    it('a case is its dry run', () => {
      expect(select(all, ['s.m'])).toEqual([dry]);
    });
  });
  it('takes every other character literally', () => {
    expect(picks('server.absence.short[away=3*', variants[1]!)).toBe(true);
    expect(picks('quit?away*', variants[3]!)).toBe(false);
  });
});
