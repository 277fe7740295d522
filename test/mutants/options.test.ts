import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { temporary } from './mutation-fixtures.js';
import { demand, demandDefects, parseOptions, selectDefects } from './options.js';

const parse = (...args: string[]) => parseOptions(args, '/here');

describe('the command line', () => {
  it('has defaults for all but the QEMU', () =>
    expect(parse('--qemu', 'q')).toEqual({
      qemu: '/here/q',
      selection: 'standard',
      failFast: false,
      jobs: 24 * availableParallelism(),
      out: '/here/reports',
      keepTimelines: false,
      selectors: [],
    }));

  it('takes options and defects', () =>
    expect(
      parse(
        'a.b',
        '--qemu=/q',
        '--selection',
        'quick',
        '--fail-fast',
        '--jobs',
        '4',
        '--out',
        'o',
        '--keep-timelines',
        'c',
      ),
    ).toEqual({
      qemu: '/q',
      selection: 'quick',
      failFast: true,
      jobs: 4,
      out: '/here/o',
      keepTimelines: true,
      selectors: ['a.b', 'c'],
    }));

  it('gives help instead of running', () => expect(parse('--help')).toBeUndefined());

  it.each([
    [[], '--qemu is missing'],
    [['--qemu'], "Option '--qemu <value>' argument missing"],
    [['--qemu', 'q', '--selection', 'all'], '--selection takes quick, standard, full, guest, not all'],
    [['--qemu', 'q', '--job', '3'], "Unknown option '--job'"],
    [['--qemu', 'q', '--jobs', '0'], '--jobs takes a whole number from 1 up, not 0'],
    [['--qemu', 'q', '--jobs', 'many'], '--jobs takes a whole number from 1 up, not many'],
    [['--qemu', 'q', '--out', ''], '--out needs a value'],
  ])('refuses %j', (args, words) => expect(() => parse(...args)).toThrow(words));
});

describe('the selection', () => {
  const defects = ['a.one', 'a.one.more', 'a.ones', 'b.two'].map((id) => ({ id, title: id }));
  const select = (...selectors: string[]) => selectDefects(defects, selectors).map(({ id }) => id);

  it('is everything by default', () => expect(select()).toEqual(['a.one', 'a.one.more', 'a.ones', 'b.two']));
  it('goes by whole components, in the order of the defects', () =>
    expect(select('b', 'a.one')).toEqual(['a.one', 'a.one.more', 'b.two']));
  it('refuses what fits nothing', () =>
    expect(() => select('a', 'c')).toThrow(expect.objectContaining({ message: 'there is no defect c' })));
  it('refuses to run nothing', () => expect(() => selectDefects([], [])).toThrow('there are no defects'));
});

describe('what is needed', () => {
  it('must be there', () => expect(demand('/nowhere', 'read', 'x')).rejects.toThrow('cannot read /nowhere (ENOENT)'));
  it('must be a program', () => expect(demand('package.json', 'execute', 'x')).rejects.toThrow('(EACCES)'));
  it('is fine when it is', () => expect(demand(process.execPath, 'execute', 'x')).resolves.toBeUndefined());
});

describe('the defective QEMU', () => {
  const defects = [{ id: 'a.one', title: 'one' }];
  const qemu = async (script: string) => {
    const path = join(await temporary(), 'qemu');
    await writeFile(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    return path;
  };

  it('has the defects and no others', async () =>
    expect(await demandDefects(await qemu('[ "$VHOST_RECONNECT_DEFECT" = a.one ]'), defects)).toBeUndefined());
  it('must have the defects', async () =>
    expect(demandDefects(await qemu('exit 2'), defects)).rejects.toThrow('does not have the defect a.one'));
  it('must heed the variable', async () =>
    expect(demandDefects(await qemu('exit 0'), defects)).rejects.toThrow('does not heed VHOST_RECONNECT_DEFECT'));
});

describe('the program', () => {
  const run = (...args: string[]) =>
    spawnSync(process.execPath, ['scripts/tool.mjs', 'test/mutants/mutation-test.ts', ...args], { encoding: 'utf8' });

  it.each([
    [[], 'mutation-test: --qemu is missing (make mutants prints the path of the defective QEMU)\n'],
    [['--qemu', '/nowhere'], 'mutation-test: cannot execute /nowhere (ENOENT) (make mutants builds it)\n'],
  ])('ends with 2 and one line: %j', (args, line) =>
    expect(run(...args)).toMatchObject({ status: 2, stderr: line, stdout: '' }),
  );

  it('tells how it is used', () => expect(run('--help')).toMatchObject({ status: 0, stderr: '' }));
});
