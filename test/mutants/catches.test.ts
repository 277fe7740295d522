import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Requirement } from '../../src/contract/index.js';
import type { Expectation, RequirementResult, VariantResult } from '../../src/runner/index.js';
import { type EventBody, writeTimeline } from '../../src/timeline/index.js';
import { broken, events, variant } from '../report/fixtures.js';
import { findings } from './catches.js';
import { temporary } from './mutation-fixtures.js';

const begin = { type: 'run.begin', schema: 1 } as EventBody;
const filler: EventBody = { type: 'qmp.ready' };
const trouble: EventBody = { type: 'tester.trouble', what: 'no memory' };
const none: ReadonlySet<string> = new Set();

/** A requirement that a record breaks as soon as it has this many events. */
function breaksAt(id: string, count: number, level: Requirement['level'] = 'must'): Requirement {
  const judge: Requirement['judge'] = ({ events }) =>
    events.length >= count
      ? { outcome: 'break', kind: 'violation', seen: 'too much', events: [0] }
      : { outcome: 'hold', seen: 'little', events: [] };
  return { id, title: id, sentence: id, level, label: 'contract', sources: [], allowed: 'little', judge };
}

const contract = [
  breaksAt('LATE', 6),
  breaksAt('EARLY', 3),
  breaksAt('ALSO', 3),
  breaksAt('ADVICE', 6, 'should'),
  breaksAt('NOTE', 2, 'info'),
];
const breaks = contract.map(({ id }) => broken(id, 'violation', 'too much', [0]));

/** Judges failed variants given by what they broke; their timelines have an event every 100 ms after a start at 0. */
async function found(
  variants: Record<string, RequirementResult[]>,
  unfit = none,
  tail: EventBody[] = [filler, filler],
) {
  const dir = await temporary();
  await mkdir(join(dir, 'timelines'));
  const results: VariantResult[] = [];
  for (const [id, requirements] of Object.entries(variants)) {
    const timeline = `timelines/${id}.jsonl`;
    await writeTimeline(join(dir, timeline), events(begin, filler, filler, filler, ...tail));
    results.push(variant({ variant: id, verdict: 'fail', requirements, timeline }));
  }
  return findings({ variants: results }, unfit, dir, contract);
}

describe('what a run caught', () => {
  it('is every break of a `must` or a `should`, the one that could be told first before the others', async () => {
    const { catches } = await found({ one: breaks });
    expect(catches.map(({ requirement, detectedMs }) => [requirement, detectedMs])).toEqual([
      ['EARLY', 200],
      ['ALSO', 200],
      ['LATE', 500],
      ['ADVICE', 500],
    ]);
    expect(catches[0]).toMatchObject({ variant: 'one', kind: 'violation', seen: 'too much' });
  });

  it('leaves out variants that fail without a defect', async () => {
    const { catches } = await found({ known: breaks, other: breaks }, new Set(['known']));
    expect(new Set(catches.map(({ variant }) => variant))).toEqual(new Set(['other']));
  });

  it('has of a variant that fails without a defect what breaks beyond that', async () => {
    const dir = await temporary();
    await mkdir(join(dir, 'timelines'));
    const timeline = 'timelines/known.jsonl';
    await writeTimeline(join(dir, timeline), events(begin, filler, filler, filler, filler, filler));
    const expectation = { state: 'exceeded', more: ['ALSO'] } as Expectation;
    const known = variant({ variant: 'known', verdict: 'fail', requirements: breaks, timeline, expectation });
    const { catches } = await findings({ variants: [known] }, new Set(['known']), dir, contract);
    expect(catches.map(({ requirement }) => requirement)).toEqual(['ALSO']);
  });

  it('leaves out what holds, and what is no requirement of this contract', async () => {
    const holds: RequirementResult = { requirement: 'EARLY', judgement: { outcome: 'hold', seen: 'fine', events: [] } };
    expect((await found({ one: [holds, broken('OTHER', 'violation', 'odd', [1])] })).catches).toEqual([]);
  });

  it("leaves out what could be told only after the tester's own trouble, but a death", async () => {
    const { catches } = await found({ one: breaks, dead: [broken('LATE', 'crash', 'died', [5])] }, none, [
      trouble,
      filler,
    ]);
    expect(catches.map(({ variant, requirement }) => [variant, requirement])).toEqual([
      ['one', 'EARLY'],
      ['one', 'ALSO'],
      ['dead', 'LATE'],
    ]);
  });

  it('is nothing in variants that pass or could not be judged; the latter are named', async () => {
    const variants = (['pass', 'inconclusive', 'skip'] as const).map((verdict) =>
      variant({ variant: verdict, verdict, requirements: breaks }),
    );
    const expected = { catches: [], inconclusive: ['inconclusive'] };
    expect(await findings({ variants }, none, '/nowhere', contract)).toEqual(expected);
  });
});
