import { expect, it } from 'vitest';
import { chaptersOf, choose, entriesOf } from '../../../src/report/html/chapters.js';
import { broken, crashed, exceeded, known, stale, variant } from '../fixtures.js';

const violated = (id: string) =>
  variant({ variant: id, verdict: 'fail', kind: 'violation', requirements: [broken('R8', 'violation', 'a dial', [])] });
const hung = variant({
  variant: 'a.b',
  verdict: 'fail',
  kind: 'hang',
  requirements: [broken('R1', 'hang', 'silence', [])],
});
const unsure = variant({ variant: 'c.d', verdict: 'inconclusive', reason: 'no descriptors' });

it('orders by urgency, and every result that did not simply hold is in one chapter', () => {
  const all = [variant(), known, unsure, stale, violated('x.y'), hung, exceeded, variant({ verdict: 'skip' })];
  const chapters = chaptersOf(entriesOf(all));
  expect(chapters.map(({ title }) => title)).toEqual([
    ...['Crashes', 'Hangs', 'Violations', 'Stale expectations', 'Inconclusive', 'Expected failures'],
  ]);
  const results = chapters.flatMap(({ causes }) =>
    causes.flatMap(({ entries }) => entries.map(({ result }) => result)),
  );
  expect(results).toEqual([exceeded, hung, all[4], stale, unsure, known]);
});

it('tells runs of one variant apart', () => {
  expect(entriesOf([crashed, variant(), crashed]).map(({ anchor }) => anchor)).toEqual([
    crashed.variant,
    variant().variant,
    `${crashed.variant}~2`,
  ]);
});

it('gives room to the first of each cause before the second of any', () => {
  const chapters = chaptersOf(entriesOf([violated('v.1'), violated('v.2'), violated('v.3'), hung, crashed]));
  const chosen = (room: number) => [...choose(chapters, room)].map(({ anchor }) => anchor);
  expect(chosen(3)).toEqual([crashed.variant, 'a.b', 'v.1']);
  expect(chosen(4)).toEqual([...chosen(3), 'v.2']);
  expect(chosen(99)).toHaveLength(5);
});
