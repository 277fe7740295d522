import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readRun, timelineOf } from '../../src/runner/stored-run.js';
import { runOf, variant } from '../report/fixtures.js';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'stored-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function write(text: string): string {
  writeFileSync(join(dir, 'results.json'), text);
  return dir;
}
const store = (value: unknown) => write(JSON.stringify(value));
const result = (...variants: unknown[]) => ({ ...runOf([]), variants });

describe('readRun', () => {
  it('takes the folder and the file in it', async () => {
    store(result(variant()));
    for (const path of [dir, join(dir, 'results.json')]) {
      const run = await readRun(path);
      expect(run.dir).toBe(dir);
      expect(run.result.variants).toHaveLength(1);
    }
  });

  it.each([
    ['nothing there', () => join(dir, 'no'), /no such file or directory/],
    ['a folder of something else', () => dir, /no run's folder: results.json: no such file/],
    ['no JSON', () => write('{'), /no JSON: /],
    ['another JSON', () => store([]), /not what a run of this tester writes: the whole: .*expected object/],
    ['another schema', () => store({ ...result(), schema: 1 }), /not what a run.*: schema: .*expected 2/],
    ['variants that are none', () => store(result({ variant: 'a' })), /not what a run.*: variants\.0\.place: /],
    [
      'a judgement that is none',
      () => store(result(variant({ requirements: [null as never] }))),
      /variants\.0\.requirements\.0: /,
    ],
    [
      'a timeline outside of the folder',
      () => store(result(variant({ timeline: 'timelines/../../x.jsonl' }))),
      /variants\.0\.timeline: /,
    ],
  ])('refuses %s with the place', async (_, path, message) => {
    const given = path();
    await expect(readRun(given)).rejects.toMatchObject({
      name: 'StoredRunError',
      message: expect.stringMatching(message),
      hint: expect.stringContaining('results.json'),
    });
    await expect(readRun(given)).rejects.toThrow(given);
  });
});

describe('timelineOf', () => {
  it('refuses one that is missing, broken, or never was', async () => {
    store(result());
    const run = await readRun(dir);
    writeFileSync(join(dir, 'bad.jsonl'), '{"seq":0,"type":"run.end"}\n');
    const of = (timeline?: string) => timelineOf(run, { ...variant(), timeline } as never);
    await expect(of('gone.jsonl')).rejects.toThrow(/gone\.jsonl: no such file/);
    await expect(of('bad.jsonl')).rejects.toThrow(/bad\.jsonl:1: expected run.begin/);
    await expect(of()).rejects.toThrow(/was not run/);
  });
});
