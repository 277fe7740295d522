import { describe, expect, test } from 'vitest';
import { compare, judge } from './comparison.js';
import { type Difference, differences, differencesOf } from './differences.js';
import { sequences } from './sequence.js';
import { type Line, type PhaseName, parseTranscript, recordedTranscripts } from './transcript.js';

const enable = (index: number) => `18 SET_VRING_ENABLE 0x1 8 index=${index} num=1`;
const features = (value: string) => `2 SET_FEATURES 0x1 8 value=${value}`;
const owner = '3 SET_OWNER 0x1 0';

describe('compare', () => {
  test('equal sequences have no deviation', () => {
    expect(compare([owner, enable(0)], [owner, enable(0)])).toEqual([]);
  });

  test('another content of the same message is one deviation each', () => {
    expect(compare([owner, features('0x1'), enable(0)], [owner, features('0x2'), enable(0)])).toEqual([
      { recorded: [features('0x1')], seen: [features('0x2')] },
    ]);
  });

  test('messages in a row that the other has not are one', () => {
    expect(compare([enable(0), enable(1), owner], [owner, features('0x1')])).toEqual([
      { recorded: [enable(0), enable(1)], seen: [] },
      { recorded: [], seen: [features('0x1')] },
    ]);
  });

  test('the same messages in another order deviate', () => {
    expect(compare([enable(0), owner], [owner, enable(0)])).toHaveLength(2);
  });

  test('a message of another ring is another message', () => {
    expect(compare([enable(0)], [enable(1)])).toEqual([{ recorded: [enable(0)], seen: [enable(1)] }]);
  });
});

describe('judge', () => {
  const known = (changes: Partial<Difference>): Difference => ({
    reason: 'known',
    phases: ['boot'],
    recorded: [features('0x1')],
    seen: [features('0x2')],
    ...changes,
  });
  const run = (...lines: string[]) => [{ phase: 'boot' as PhaseName, lines }];

  test('a listed difference is none of its faults', () => {
    expect(judge(run(owner, features('0x1')), run(owner, features('0x2')), [known({})])).toEqual({
      messages: 2,
      equal: 1,
      listed: 1,
      faults: [],
    });
  });

  test('an unlisted one is', () => {
    const { faults } = judge(run(features('0x1')), run(features('0x3')), []);
    expect(faults).toEqual([`boot: not listed: recorded ${features('0x1')}; seen ${features('0x3')}`]);
  });

  test('one listed for another phase is', () => {
    const { faults } = judge(run(features('0x1')), run(features('0x2')), [known({ phases: ['quit'] })]);
    expect(faults).toHaveLength(1);
  });

  test('a listed one that is not there is', () => {
    const { faults } = judge(run(features('0x2')), run(features('0x2')), [known({})]);
    expect(faults).toEqual([expect.stringContaining('listed, but 0 of 1 times there')]);
  });

  test('so is one that is there in one of two places only', () => {
    const recorded = run(features('0x1'), owner, features('0x1'));
    const { faults } = judge(recorded, run(features('0x1'), owner, features('0x2')), [known({})]);
    expect(faults).toEqual([expect.stringContaining('listed, but 1 of 2 times there')]);
  });

  test('so are messages listed as missing that are missing twice', () => {
    const recorded = run(enable(0), owner, enable(0), features('0x1'));
    const { faults } = judge(recorded, run(owner, features('0x1')), [known({ recorded: [enable(0)], seen: [] })]);
    expect(faults).toEqual([expect.stringContaining('listed, but 2 of 1 times there')]);
  });

  test('a phase that was not reached is', () => {
    expect(judge(run(owner), [], []).faults).toHaveLength(1);
  });
});

test('every listed difference is of some transcript, in some phase of it', () => {
  const places = recordedTranscripts().flatMap((transcript) =>
    differencesOf(transcript).filter(({ phases }) => transcript.phases.some(({ name }) => phases.includes(name))),
  );
  for (const difference of differences) expect(places).toContain(difference);
});

describe('what is not compared', () => {
  const table = '1.0 ->   5 SET_MEM_TABLE  0x9 40  region=0x0+0x10000@0x7f0000000000:0x0  fds=1';
  const parsed = (...lines: string[]): Line[] => {
    const text = ['qemu 1.0.0', 'role server', 'profile p', 'pairs 1', 'phase boot', table, ...lines].join('\n');
    return parseTranscript('test', text).phases[0]!.lines;
  };
  const of = (name: PhaseName, line: string, usedIdx?: number) => {
    const facts = usedIdx === undefined ? {} : { usedIdx: new Map([[0, usedIdx]]) };
    return sequences([{ name, lines: parsed(line) }], [facts])[0]!.lines.at(-1);
  };
  const base = (num: number) => `1.0 ->  10 SET_VRING_BASE 0x1 8 index=0 num=${num}`;
  const addr = (log: string) =>
    `1.0 ->   9 SET_VRING_ADDR 0x1 40 index=0 flags=0 desc=0x7f0000001000 used=0x7f0000003000 avail=0x7f0000002000 log=${log}`;

  test("where QEMU's memory lies", () => {
    expect(sequences([{ name: 'boot', lines: parsed() }])[0]!.lines).toEqual([
      '5 SET_MEM_TABLE 0x9 40 region=0x0+0x10000@*:0x0 fds=1',
    ]);
  });

  test('where the rings lie; the log address is, if it is not the used ring', () => {
    const ring = '9 SET_VRING_ADDR 0x1 40 index=0 flags=0 desc=* used=* avail=*';
    expect(of('boot', addr('0x3000'))).toBe(`${ring} log=used`);
    expect(of('boot', addr('0x3008'))).toBe(`${ring} log=0x3008`);
  });

  test('where a ring goes on after a loss, if that is its used index', () => {
    expect(of('boot', base(7), 7)).toBe('10 SET_VRING_BASE 0x1 8 index=0 num=7');
    expect(of('after-kill', base(7), 7)).toBe('10 SET_VRING_BASE 0x1 8 index=0 num=used');
    expect(of('after-kill', base(7), 6)).toBe('10 SET_VRING_BASE 0x1 8 index=0 num=7');
    expect(of('after-kill', base(7))).toBe('10 SET_VRING_BASE 0x1 8 index=0 num=used');
  });

  test('where a ring goes on after a stop, if that is what was answered', () => {
    const stop = parsed(
      '1.0 ->  11 GET_VRING_BASE 0x1 8 index=0 num=0',
      '1.0 <-  11 GET_VRING_BASE 0x5 8 index=0 num=9',
    );
    const cont = (num: number) =>
      sequences([
        { name: 'stop', lines: stop },
        { name: 'cont', lines: parsed(base(num)) },
      ])[1]!;
    expect(cont(9).lines.at(-1)).toMatch(/num=answered$/);
    expect(cont(8).lines.at(-1)).toMatch(/num=8$/);
  });
});

test('a line that is none is told with its place', () => {
  expect(() => parseTranscript('t', 'qemu 1\nphase boot\n1.0 -> 3 SET_OWNERS 0x1 0')).toThrow(
    /^t:3: no such .*SET_OWNERS/,
  );
  expect(() => parseTranscript('t', 'phase start')).toThrow(/^t:1: start is none of boot, /);
});
