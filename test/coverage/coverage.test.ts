import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { registry } from '../../src/contract/index.js';
import { readMaterial } from './material.js';
import { gaps, type Material, page } from './page.js';

describe('docs/coverage.md', () => {
  it('is what the repository makes of it', async () => {
    const written = await readFile(join(import.meta.dirname, '../../docs/coverage.md'), 'utf8');
    expect(written).toBe(page(await readMaterial()));
  });

  it('has every requirement and every defect on record with a case or a reason', async () => {
    expect(gaps(await readMaterial())).toEqual([]);
  });
});

const [first] = registry.filter(({ id }) => id === 'R1');
const material = (more: Partial<Material>): Material => ({
  registry: [first!],
  cases: [{ id: 'leave.idle', references: ['contract:R1', 'defect:some'] }],
  mutants: [],
  seen: [],
  known: { defects: [{ id: 'some', title: 'Something' }], requirements: {} },
  measured: {
    run: { qemu: '7.2.22', selection: 'standard', variants: 1 },
    mutation: { qemu: '7.2.22', selection: 'standard', caught: 1, total: 1 },
    requirements: {},
  },
  ...more,
});

describe('gaps', () => {
  it('has none where everything is referred to', () => expect(gaps(material({}))).toEqual([]));

  it.each<[string, Partial<Material>, string]>([
    [
      'a defect without a case',
      {
        known: {
          defects: [
            { id: 'some', title: '' },
            { id: 'other', title: '' },
          ],
          requirements: {},
        },
      },
      'no case refers to defect:other, and there is no reason',
    ],
    [
      'a reason beside a case',
      { known: { defects: [{ id: 'some', title: '', reason: 'not now' }], requirements: {} } },
      'defect:some has a case: its reason is out of date',
    ],
    [
      'a reference to nothing',
      { mutants: [{ id: 'loop.stalls', references: ['defect:none'] }] },
      'loop.stalls refers to defect:none, which is not on record',
    ],
    [
      'a requirement without a case',
      { cases: [{ id: 'leave.idle', references: ['defect:some'] }] },
      'no case refers to contract:R1',
    ],
    [
      'a number without a judge',
      {
        registry: [first!, { ...first!, id: 'R3' }],
        cases: [{ id: 'a.b', references: ['contract:R1', 'contract:R3', 'defect:some'] }],
      },
      'R2 has neither a judge nor a reason',
    ],
    [
      'a reason for a judged requirement',
      { known: { defects: [{ id: 'some', title: '' }], requirements: { R1: 'later' } } },
      'R1 has a judge: its reason is out of date',
    ],
  ])('names %s', (_, more, gap) => expect(gaps(material(more))).toEqual([gap]));
});

describe('page', () => {
  const text = page(
    material({
      mutants: [{ id: 'loop.stalls', references: ['defect:some'] }],
      seen: [{ version: '7.2', case: 'leave.idle[role=client]', requirements: ['R1'], reference: 'defect:some' }],
      measured: {
        run: { qemu: '7.2.22', selection: 'standard', variants: 12 },
        mutation: { qemu: '7.2.22', selection: 'standard', caught: 3, total: 4 },
        requirements: { R1: { judgedIn: ['leave.idle', 'leave.many'], caught: ['loop.stalls'] } },
      },
    }),
  );

  it('maps a requirement to cases, defect builds and versions', () =>
    expect(text).toContain(
      `| R1 | ${first!.title} | must, ${first!.label} | \`leave.idle\` | 2 | 1: \`loop.stalls\` | 7.2 |`,
    ));

  it('maps a defect to cases, defect builds and versions', () =>
    expect(text).toContain('| 1 | `some` | Something | `leave.idle` | `loop.stalls` | 7.2 |'));
});
