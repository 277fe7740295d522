import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { VariantResult } from '../../src/runner/index.js';
import { broken, runOf, variant } from '../report/fixtures.js';
import { baseline, type CampaignOptions, campaign } from './campaign.js';
import { type FakeSuite, fakeSuite } from './mutation-fixtures.js';
import type { DefectResult } from './score.js';

const breaks = [broken('R1', 'crash', 'died', [1])];
const fails = (id: string) =>
  variant({ variant: id, verdict: 'fail', requirements: breaks, timeline: `timelines/${id}` });
const passes = (id: string, over: Partial<VariantResult> = {}) =>
  variant({ variant: id, timeline: `timelines/${id}`, ...over });
const stock = runOf([fails('known'), passes('other')]);

/** A campaign over two defects; `caught` fails a variant that holds without it, `missed` only the known one. */
async function stage(over: Partial<CampaignOptions> = {}): Promise<FakeSuite & { options: CampaignOptions }> {
  const fake = await fakeSuite();
  await mkdir(fake.out);
  for (const name of ['installed', 'no-defect', 'a.missed']) fake.answer(name, stock);
  fake.answer('a.caught', { ...runOf([fails('known'), fails('other')]), code: 3 });
  const defects = ['a.caught', 'a.missed'].map((id) => ({ id, title: id }));
  const options: CampaignOptions = {
    suite: fake.suite,
    qemu: fake.qemu,
    out: fake.out,
    defects,
    selection: 'standard',
    failFast: false,
    jobs: 32,
    keepTimelines: false,
    signal: new AbortController().signal,
    onResult: () => {},
    ...over,
  };
  return { ...fake, options };
}

describe('a campaign', () => {
  it('counts only what fails because of the defect', async () => {
    const { options, qemu } = await stage();
    const told: [string, number][] = [];
    const came = await campaign({ ...options, onResult: ({ id }, done) => void told.push([id, done]) });
    expect(came?.results.map(({ id, verdict }) => [id, verdict])).toEqual([
      ['a.caught', 'caught'],
      ['a.missed', 'missed'],
    ]);
    expect(came?.results[0]).toMatchObject({ caughtBy: { R1: ['other'] }, first: { detectedMs: 8.5 } });
    expect(came).toMatchObject({ unfit: ['known'], qemu: { path: qemu, version: '7.2.22' } });
    expect(told.map(([, done]) => done)).toEqual([1, 2, 2]);
    expect(told.map(([id]) => id).sort()).toEqual(['a.caught', 'a.missed', 'a.missed']);
  });

  it('runs what was missed once more, alone, unless it is listed', async () => {
    const { options, answer } = await stage();
    const defects = [...options.defects, { id: 'a.listed', title: 'listed', undetected: 'nobody looks' }];
    answer('a.listed', stock);
    const second: string[] = [];
    const onResult = ({ id, runs }: DefectResult) => {
      if (id === 'a.missed' && runs === 1) answer('a.missed', runOf([fails('known'), fails('other')]));
      if (runs === 2) second.push(id);
    };
    const came = await campaign({ ...options, defects, onResult });
    expect(second).toEqual(['a.missed']);
    expect(came?.results.map(({ id, verdict, runs }) => [id, verdict, runs])).toEqual([
      ['a.caught', 'caught', 1],
      ['a.missed', 'caught', 2],
      ['a.listed', 'missed', 1],
    ]);
  });

  it('runs what a quick selection missed with the standard one, against what fails in that without a defect', async () => {
    const { options, answer, out } = await stage({ selection: 'quick', failFast: true });
    const onResult = ({ id, runs }: DefectResult) => {
      if (id !== 'a.missed' || runs !== 1) return;
      // The standard selection has one more variant that fails anyway, and one that sees the defect.
      for (const name of ['installed', 'no-defect'])
        answer(name, runOf([fails('known'), fails('slow'), passes('other')]));
      answer('a.missed', runOf([fails('known'), fails('slow'), fails('other')]));
    };
    const came = await campaign({ ...options, onResult });
    expect(came?.results.at(-1)).toMatchObject({ verdict: 'caught', caughtBy: { R1: ['other'] } });
    expect(came?.unfit).toEqual(['known', 'slow']);
    expect((await readdir(out)).filter((name) => name.startsWith('no-defect')).sort()).toEqual([
      'no-defect-quick',
      'no-defect-standard',
    ]);
  });

  it.each([
    [false, ['qemu', 'results.json', 'tester.log']],
    [true, ['qemu', 'results.json', 'tester.log', 'timelines']],
  ])('keeps the timelines of a caught defect: %s; always those of a missed one', async (keepTimelines, kept) => {
    const { options, out } = await stage({ keepTimelines });
    await campaign(options);
    expect((await readdir(join(out, 'a.caught'))).sort()).toEqual(kept);
    expect(await readdir(join(out, 'a.missed'))).toContain('timelines');
  });

  it('gives the runs of the defective build what is known of the installed one', async () => {
    const { options, answer, out } = await stage();
    const file = join(out, 'known.yaml');
    await writeFile(file, 'build: { from: 7.2.0, below: 7.3.0, package: Debian 7 }\nexpected: []\n');
    answer('installed', { ...stock, expectations: { file } });
    await campaign(options);
    const given = join(out, 'expected.yaml');
    expect(await readFile(given, 'utf8')).toMatch(/package: "?Debian \.\*, with defects/);
    const said = (run: string) => readFile(join(out, run, 'tester.log'), 'utf8');
    for (const run of ['no-defect-standard', 'a.missed']) expect(await said(run)).toContain(`--expected ${given}`);
    expect(await said('installed-standard')).not.toContain('--expected');
  });

  it('does not begin when the build differs without a defect', async () => {
    const { options, answer, out } = await stage();
    answer('no-defect', runOf([fails('known'), fails('other')]));
    await expect(campaign(options)).rejects.toThrow(/^without a defect other is fail on .*, pass on /);
    expect((await readdir(out)).sort()).toEqual(['installed-standard', 'no-defect-standard']);
  });

  it('keeps what was through when it is interrupted, and ends what runs', async () => {
    const controller = new AbortController();
    const waiting = { id: 'a.waits', title: 'waits' };
    const staged = await stage({ signal: controller.signal });
    const through = new Promise<void>((resolve) => {
      staged.options.onResult = (_, done) => {
        if (done === 2) resolve();
      };
    });
    const defects = [...staged.options.defects, waiting, { id: 'a.never', title: 'never' }];
    const came = campaign({ ...staged.options, jobs: 1, defects });
    await through;
    await staged.waits('a.waits');
    controller.abort();
    expect((await came)?.results.map(({ id }) => id)).toEqual(['a.caught', 'a.missed']);
    expect(await staged.ended()).toEqual(['a.waits']);
    expect(await readdir(staged.out)).not.toContain('a.waits');
    expect(await readdir(staged.out)).not.toContain('a.never');
  });

  it('has nothing when interrupted before the first defect', async () => {
    const { options } = await stage({ signal: AbortSignal.abort() });
    expect(await campaign(options)).toBeUndefined();
  });

  it('ends the other runs when one is in trouble', async () => {
    const { options, answer, ended } = await stage();
    answer('a.trouble', { code: 2, said: 'no space is left', after: 'a.waits' });
    const defects = [
      { id: 'a.waits', title: 'waits' },
      { id: 'a.trouble', title: 'trouble' },
    ];
    await expect(campaign({ ...options, defects })).rejects.toThrow('no space is left');
    expect(await ended()).toEqual(['a.waits']);
  });
});

describe('the baseline', () => {
  it('is what fails on both', () => expect(baseline(stock, stock)).toEqual(['known']));

  it('is what is known to fail now and then, too, on whichever it did', () => {
    const expectation = {
      state: 'met',
      place: 'a.yaml:1',
      reason: '',
      reference: '',
      broken: ['R1'],
      held: [],
      more: [],
    };
    const sometimes = runOf([fails('known'), { ...fails('other'), expectation } as VariantResult]);
    expect(baseline(sometimes, stock)).toEqual(['known', 'other']);
    expect(baseline(stock, sometimes)).toEqual(['known', 'other']);
    const stale = runOf([
      fails('known'),
      passes('other', { expectation: { ...expectation, state: 'stale' } as never }),
    ]);
    expect(() => baseline(sometimes, stale)).toThrow('without a defect other is stale on');
  });

  it('refuses what could not be judged', () => {
    const doubtful = runOf([fails('known'), passes('other', { verdict: 'inconclusive' })]);
    expect(() => baseline(doubtful, stock)).toThrow('without a defect other is inconclusive');
    expect(() => baseline(stock, doubtful)).toThrow('without a defect other is inconclusive');
  });

  it('refuses a variant that only one of them has', () =>
    expect(() => baseline(runOf([fails('known')]), stock)).toThrow('without a defect other is pass on'));
});
