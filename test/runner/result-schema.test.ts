import { readFileSync, writeFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { expect, it } from 'vitest';
import { resultsSchema, runResult } from '../../src/runner/index.js';
import { crashed, exceeded, known, runOf, stale, variant } from '../report/fixtures.js';

const file = new URL('../../docs/results.schema.json', import.meta.url);
const dateTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;

const text = `${JSON.stringify(resultsSchema(), null, 2)}\n`;
if (process.env.UPDATE_SCHEMA) writeFileSync(file, text);

it('is the one in docs (UPDATE_SCHEMA=1 renews it)', () => {
  expect(readFileSync(file, 'utf8')).toBe(text);
});

const validate = new Ajv2020({ allErrors: true, formats: { 'date-time': dateTime } }).compile(
  JSON.parse(readFileSync(file, 'utf8')),
);
/** What results.json holds of a result. */
const written = (result: unknown) => JSON.parse(JSON.stringify(result));

it('holds for results of every kind', () => {
  const skip = variant({ verdict: 'skip', reason: 'no machine pc' });
  const { timeline: _, ...skipped } = skip;
  const unsure = variant({ verdict: 'inconclusive', reason: 'EMFILE' });
  const result = runOf([crashed, known, stale, exceeded, skipped, unsure, variant()], {
    expectations: { file: 'mine.yaml' },
    notRun: ['quit.away'],
    rounds: 2,
  });
  expect(validate(written(result)), JSON.stringify(validate.errors)).toBe(true);
  expect(runResult.parse(written(result))).toEqual(written(result));
});

it.each<[string, (result: Record<string, unknown>) => void]>([
  ['a field that it does not know', (result) => Object.assign(result, { more: 1 })],
  ['a field that is missing', (result) => delete result.hosts],
  ['another version', (result) => Object.assign(result, { schema: 1 })],
  [
    'a timeline outside of the folder',
    ({ variants }) => Object.assign((variants as object[])[0]!, { timeline: '../x' }),
  ],
])('fails for %s', (_, spoil) => {
  const result = written(runOf([variant()]));
  spoil(result);
  expect(validate(result)).toBe(false);
});
