import { describe, expect, it } from 'vitest';
import type { Selection } from '../../src/cases/definition.js';
import { expand, includes } from '../../src/cases/expand.js';
import { loadCase } from '../../src/cases/load.js';
import { missing } from '../../src/cases/needs.js';
import type { Case, Variant } from '../../src/cases/types.js';
import { caseText, vocabulary } from './vocabulary.js';

const everything = { roles: ['server', 'client'], machines: ['q35', 'pc', 'microvm'] } as const;
const load = (lines: string, head?: Record<string, string>) =>
  loadCase('x.yaml', caseText(lines, head), vocabulary) as Case;
const ids = (definition: Case, scope: Parameters<typeof expand>[1] = everything) =>
  expand(definition, scope).map(({ id }) => id);

describe('expand', () => {
  const both = load(
    'machines: [q35, pc]\nmatrix: { away: [0ms, 3.1s] }\nexclude: [{ role: client, away: 0ms }]\ndriver: none\nsteps: [{ restart: { away: $away } }]',
    { roles: '[server, client]' },
  );

  it('crosses roles, machines and matrix, without what is excluded', () => {
    expect(ids(both)).toEqual([
      'server.absence.example[role=server,away=0ms]',
      'server.absence.example[role=server,away=3.1s]',
      'server.absence.example[role=server,away=0ms,machine=pc]',
      'server.absence.example[role=server,away=3.1s,machine=pc]',
      'server.absence.example[role=client,away=3.1s]',
      'server.absence.example[role=client,away=3.1s,machine=pc]',
    ]);
  });

  it('gives the same ids whatever the scope', () => {
    const part = ids(both, { roles: ['client'], machines: ['pc'] });
    expect(part).toEqual(['server.absence.example[role=client,away=3.1s,machine=pc]']);
  });

  it('names nothing where there is nothing to tell apart', () => {
    expect(ids(load('driver: none\nsteps: [{ peer: connect }]'), { ...everything, machines: ['q35'] })).toEqual([
      'server.absence.example',
    ]);
  });

  it('gives a reconnect interval to the client role only', () => {
    const variants = expand(both, { ...everything, machines: ['q35'] });
    expect(variants.map(({ role, reconnectMs }) => [role, reconnectMs])).toEqual([
      ['server', 0],
      ['server', 0],
      ['client', 1000],
    ]);
  });
});

describe('a selection', () => {
  const everywhere = (lines: string) =>
    expand(load(`${lines}driver: none\nsteps: [{ traffic: $n }]`, { roles: '[server, client]' }), everything);
  const by = (variants: Variant[], selection: Selection) =>
    variants.filter((variant) => includes(selection, variant)).map(({ id }) => id.replace(/.*\[/, '['));

  it('is standard unless said, on the usual machine', () => {
    const variants = everywhere('matrix: { n: [1, 2] }\n');
    expect(by(variants, 'quick')).toEqual([]);
    expect(by(variants, 'standard')).toEqual([
      '[role=server,n=1]',
      '[role=server,n=2]',
      '[role=client,n=1]',
      '[role=client,n=2]',
    ]);
    expect(by(variants, 'full')).toHaveLength(12);
  });

  it('has what it names, and what the smaller ones have', () => {
    const variants = everywhere(
      'matrix: { n: [1, 2] }\nselections: { quick: [{ n: 2, role: client, machine: pc }], standard: [{ n: 1, role: "c*" }] }\n',
    );
    expect(by(variants, 'quick')).toEqual(['[role=client,n=2,machine=pc]']);
    expect(by(variants, 'standard')).toEqual(['[role=client,n=1]', '[role=client,n=2,machine=pc]']);
  });

  it('has what boots a guest apart from the others, but in full', () => {
    const guest = expand(load('driver: guest\nsteps: [{ traffic: 1 }]'), everything);
    for (const selection of ['quick', 'standard'] as const) expect(by(guest, selection)).toEqual([]);
    for (const selection of ['guest', 'full'] as const) expect(by(guest, selection)).toHaveLength(guest.length);
    const other = everywhere('matrix: { n: [1, 2] }\nselections: { quick: [{ n: 2 }] }\n');
    expect(by(other, 'guest')).toEqual([]);
    // It needs more memory than a machine that halts.
    expect(guest[0]!.memory).toBe(128 << 20);
    expect(other[0]!.memory).toBe(64 << 20);
  });

  it('has a dry run when it may have something that it discovers', () => {
    const lines =
      'matrix: { n: [1, 2], cut: discovered }\nselections: { quick: [{ n: 1, cut: "*_OWNER" }] }\n' +
      'driver: none\nsteps: [{ traffic: $n }, { phase: { cut: $cut } }]';
    const [dry, other] = expand(load(lines), { ...everything, machines: ['q35'] });
    expect([dry!.selection, other!.selection]).toEqual(['quick', 'standard']);
    const make = (value: string) => dry!.discovery!.with(value);
    expect(make('SET_OWNER')).toMatchObject({
      id: 'server.absence.example[n=1,cut=SET_OWNER]',
      selection: 'quick',
      params: { n: 1, cut: 'SET_OWNER' },
    });
    expect(make('SET_OTHER').selection).toBe('standard');
  });
});

describe('missing', () => {
  const facts = { machines: new Set(['q35']), reconnectOption: 'reconnect', version: '7.2.22' } as Parameters<
    typeof missing
  >[1];
  const fine = load('qemu: { reconnect: 200ms }\ndriver: none\nsteps: [{ peer: connect }]', { roles: '[client]' });
  const [q35, pc] = expand(fine, everything);

  it('tells what the binary lacks', () => {
    expect(q35!.needs).toEqual(['reconnect-ms']);
    expect(missing(q35!, facts)).toContain('reconnect-ms');
    expect(missing(pc!, facts)).toBe('this QEMU has no machine pc');
    expect(missing(q35!, { ...facts, reconnectOption: 'reconnect-ms' })).toBeUndefined();
  });

  it('tells when the binary is too old', () => {
    const needing = (version: string) => ({ ...q35!, needs: [`qemu-${version}`] });
    expect(missing(needing('7.2'), facts)).toBeUndefined();
    expect(missing(needing('7.10'), facts)).toBe('this QEMU is older than 7.10');
    expect(missing(needing('8.0'), facts)).toBe('this QEMU is older than 8.0');
  });
});
