import { describe, expect, it } from 'vitest';
import { hold, judged } from '../../src/contract/judgement.js';

const violation = (seen: string, seq = 1) => ({ kind: 'violation' as const, seen, events: [seq] });

describe('several breaks', () => {
  it('come to the worst of them, with the words on the others', () => {
    const hang = { kind: 'hang' as const, seen: 'it hangs', events: [7] };
    expect(judged([violation('it lies'), hang, violation('it cheats')], hold(''))).toEqual({
      outcome: 'break',
      kind: 'hang',
      seen: 'it hangs (and 2 more)',
      events: [7],
      also: ['it lies', 'it cheats'],
    });
  });

  it('that are alike are told once, and of very many not all', () => {
    const many = Array.from({ length: 200 }, (_, i) => violation(`session ${i}`));
    const judgement = judged([...many, violation('session 1', 2)], hold(''));
    expect(judgement).toMatchObject({ seen: 'session 0 (and 200 more)' });
    expect('also' in judgement && judgement.also).toEqual(many.slice(1, 51).map(({ seen }) => seen));
  });

  it('need no more words when there is one, and none when there is none', () => {
    expect(judged([violation('it lies')], hold(''))).toEqual({ outcome: 'break', ...violation('it lies') });
    expect(judged([], hold('fine', [3]))).toEqual(hold('fine', [3]));
  });
});
