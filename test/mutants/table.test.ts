import { describe, expect, it } from 'vitest';
import { caught, result } from './mutation-fixtures.js';
import { renderTable, scoreLine } from './table.js';

const results = [
  result(
    { id: 'chardev.redial' },
    caught('R12', { detectedMs: 1040 }),
    caught('R12', { variant: 'c.d', detectedMs: 2000 }),
  ),
  result({ id: 'rings.base', title: 'The base is one too high' }),
  result({ id: 'leaks.fd', undetected: 'nobody looks there' }),
  result({ id: 'leaks.thread', undetected: 'nor there' }, caught('R5', { kind: 'crash' })),
];

describe('the table', () => {
  const text = renderTable({ results, wanted: 4, failFast: false });

  it('shows each defect with what caught it first', () => {
    const [head, line, ...rows] = text.split('\n').slice(0, 6);
    expect(head).toMatch(/^\| defect +\| verdict +\| first requirement \| time to detect \|/);
    expect(line).toMatch(/^\| -+ \| -+ \|/);
    expect(rows.map((row) => row.replace(/ +/g, ' '))).toEqual([
      '| chardev.redial | caught: violation | R12 | 1.04 s | 1 | 2 | 0 |',
      '| rings.base | missed | - | - | 0 | 0 | 0 |',
      '| leaks.fd | missed, listed | - | - | 0 | 0 | 0 |',
      '| leaks.thread | caught: crash (listed as undetected) | R5 | 100 ms | 1 | 1 | 0 |',
    ]);
    expect(new Set([head, line, ...rows].map((row) => row!.length)).size).toBe(1);
  });

  it('names requirements that are needed, and those that caught nothing', () => {
    expect(text).toMatch(
      /^Requirements that alone caught a defect: 2 of \d+\n- R5: leaks.thread\n- R12: chardev.redial$/m,
    );
    expect(text).toMatch(/^Requirements that caught nothing: R1, R2, R3, R4, R6, /m);
  });

  it('says what needs attention', () => {
    expect(text).toContain('- missed: rings.base: The base is one too high\n');
    expect(text).toContain('- missed, listed: leaks.fd: nobody looks there\n');
    expect(text).toContain('- listed as undetected, but caught: leaks.thread: drop its `undetected`\n');
  });

  it('names what only a second run caught', () => {
    const second = { ...results[0]!, runs: 2 as const };
    expect(renderTable({ results: [second], wanted: 1, failFast: false })).toContain(
      '- caught only when run again, alone: chardev.redial\n',
    );
    expect(text).not.toContain('run again');
  });

  it('ends with the score', () =>
    expect(text.trimEnd().split('\n').at(-1)).toBe(
      'Mutation score: 2 of 4 defects caught (50.0 %); 1 missed and listed, 1 missed',
    ));

  it('says when it is not whole', () => {
    expect(scoreLine(results, 9)).toBe(
      'INCOMPLETE, 4 of 9 defects run. Mutation score: 2 of 4 defects caught (50.0 %); 1 missed and listed, 1 missed',
    );
    expect(renderTable({ results: [], wanted: 9, failFast: false })).toMatch(
      /^INCOMPLETE, 0 of 9 .*: 0 of 0 defects caught;.*\n$/,
    );
  });
});
