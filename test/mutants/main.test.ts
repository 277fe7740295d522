import { spawnSync } from 'node:child_process';
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { C_FILE, Workbench } from './workbench.js';

let bench: Workbench;
beforeEach(async () => {
  bench = await Workbench.open();
  await bench.prepare();
});
afterEach(() => bench.close());

const inTree = (file: string) => join(bench.workshop, 'tree', file);
const inSource = (file: string) => join(bench.workshop, 'source', file);
const built = async () => (await readdir(join(bench.workshop, 'bin')).catch(() => [])).length;
/** The tool's complaint: its exit code is 2, nothing is on stdout, and nothing was built. */
async function trouble(): Promise<string> {
  const { code, stdout, stderr } = await bench.run();
  expect({ code, stdout, built: await built() }, stderr).toEqual({ code: 2, stdout: '', built: 0 });
  return stderr;
}

describe('a build', () => {
  it('from nothing, with the anchors written first, does all of it', async () => {
    await rm(bench.path('cache'), { recursive: true });
    await rm(bench.path('anchors.json'));
    const unpinned = await bench.run();
    expect(unpinned.code).toBe(2);
    expect(unpinned.stderr).toMatch(/^mutants: there is no .*anchors.json\n {2}hint: node .* pin writes it\n$/);
    expect(await bench.calls()).toEqual(['dpkg-query']);
    expect(await bench.run('pin')).toMatchObject({ code: 0, stdout: `${bench.path('anchors.json')}\n` });
    expect(await bench.calls()).toEqual(['dpkg-query', 'apt-config', 'apt-get', 'apt-get', 'dpkg-source']);
    expect(await bench.run()).toMatchObject({ code: 0 });
    expect(await bench.calls()).toEqual(['dpkg-query', 'configure', 'ninja']);
  });

  it('prints the path of a program, and the second time does nothing else', async () => {
    const first = await bench.run();
    expect(first.code, first.stderr).toBe(0);
    expect(first.stdout).toMatch(/^\/.*\/bin\/qemu-system-x86_64-[0-9a-f]{16}\n$/);
    expect(await readFile(first.stdout.trim(), 'utf8')).toContain('with defects');
    expect(await bench.calls()).toEqual(['dpkg-query', 'configure', 'ninja']);

    expect(await bench.run()).toMatchObject({ code: 0, stdout: first.stdout, stderr: '' });
    expect(await bench.calls()).toEqual(['dpkg-query']);
  });

  it('adds to a copy of the source, and tells the compiler where the code is from', async () => {
    await bench.run();
    expect(await readFile(inSource('animals/cat.c'), 'utf8')).toBe(C_FILE);
    const yaml = bench.path('defects/cat.yaml');
    expect((await readFile(inTree('animals/cat.c'), 'utf8')).split('\n')).toEqual([
      '#include "osdep.h"',
      '#include "defect.h"',
      '#line 2 "animals/cat.c"',
      '',
      'int feed(int cat)',
      '{',
      `#line 9 "${yaml}"`,
      'return defect("cat.unfed");',
      '#line 5 "animals/cat.c"',
      '    int food = cat;',
      '    return food;',
      '}',
      '',
    ]);
    expect(await readFile(inTree('include/defect-ids.h'), 'utf8')).toBe('#define DEFECT_IDS \\\n  "cat.unfed", \n');
  });

  it('of changed defects writes only what changes, and configures nothing', async () => {
    const first = await bench.run();
    const times = async () => {
      const files = ['animals/cat.c', 'include/defect.h', 'include/defect-ids.h'];
      return Promise.all(files.map(async (file) => (await stat(inTree(file))).ino));
    };
    const before = await times();
    await bench.calls();
    await bench.defects('    return !defect("cat.unfed");');
    const second = await bench.run();
    expect(second.code, second.stderr).toBe(0);
    expect(second.stdout).not.toBe(first.stdout);
    expect(await bench.calls()).toEqual(['dpkg-query', 'ninja']);
    const after = await times();
    expect(after[0]).not.toBe(before[0]);
    expect(after.slice(1)).toEqual(before.slice(1));
  });

  it('waits for one that runs already, and takes what that built', async () => {
    await bench.standIn('ninja', `echo '[1/2] cc'; cat "$BENCH/fifo"; cp "$BENCH/qemu" qemu-system-x86_64`);
    expect(spawnSync('mkfifo', [bench.path('fifo')]).status).toBe(0);
    const first = bench.start();
    await first.said('building QEMU [1/2]');
    const second = bench.start();
    await second.said('waiting for another build');
    await bench.write('fifo', 'go on');
    const [a, b] = await Promise.all([first.outcome, second.outcome]);
    expect([a.code, b.code], a.stderr + b.stderr).toEqual([0, 0]);
    expect(b.stdout).toBe(a.stdout);
    expect((await bench.calls()).filter((name) => name === 'ninja')).toHaveLength(1);
  });
});

describe('an interruption', () => {
  /** A stand-in that stops half-way, told on stderr by the compiler's progress. */
  const HALF = `echo half > half.o; echo '[1/2] cc'; exec sleep 600`;

  it('ends the compiler, and the next build goes on', async () => {
    await bench.standIn('ninja', HALF);
    const { child, outcome, said } = bench.start();
    await said('building QEMU [1/2]');
    child.kill('SIGINT');
    const { code, stdout, stderr } = await outcome;
    expect({ code, stdout, built: await built() }, stderr).toEqual({ code: 130, stdout: '', built: 0 });
    expect(stderr).toContain('mutants: interrupted; what is finished is kept');

    await bench.standIn('ninja', 'cp "$BENCH/qemu" qemu-system-x86_64');
    expect(await bench.run()).toMatchObject({ code: 0 });
  });

  it('by SIGKILL ends the compiler too', async () => {
    await bench.standIn('ninja', HALF);
    const { child, outcome, said } = bench.start();
    await said('building QEMU [1/2]');
    child.kill('SIGKILL');
    await outcome;
    // It would wait for the lock that the compiler shares, were that still there.
    await bench.standIn('ninja', 'cp "$BENCH/qemu" qemu-system-x86_64');
    expect(await bench.run()).toMatchObject({ code: 0 });
  });

  it('of the configuration is not taken for configured', async () => {
    // The tree's copy is the same file.
    const whole = await readFile(inSource('configure'), 'utf8');
    await bench.write(inSource('configure'), `${whole}touch "$BENCH/started"; exec sleep 600\n`);
    const { child, outcome, started } = bench.startUntil('started');
    await started;
    child.kill('SIGTERM');
    expect(await outcome).toMatchObject({ code: 130, stdout: '' });

    await bench.write(inSource('configure'), whole);
    await bench.calls();
    expect(await bench.run()).toMatchObject({ code: 0 });
    expect(await bench.calls()).toEqual(['dpkg-query', 'configure', 'ninja']);
  });
});

describe('trouble', () => {
  it('is a source that the defects were not written for, told function by function', async () => {
    await bench.write(inSource('animals/cat.c'), C_FILE.replace('int food = cat;', 'int food = 2 * cat;\n    food++;'));
    expect(await trouble()).toMatch(
      /the defects are written for the source 1:7.2-1, and do not fit 1:7.2-1:\n {2}animals\/cat.c#feed differs: 6 lines instead of 5\n {2}hint: adapt/,
    );
    expect(await bench.calls()).toEqual(['dpkg-query']);
  });

  it('is a disk that is full while compiling', async () => {
    await bench.standIn('ninja', `echo 'cc1: fatal error: x.o: No space left on device'; exit 1`);
    expect(await trouble()).toBe(
      [
        'configuring QEMU',
        'building QEMU',
        'mutants: the disk is full while building QEMU: cc1: fatal error: x.o: No space left on device',
        '  hint: free some space, or name another folder: VHOST_RECONNECT_CACHE=DIR\n',
      ].join('\n'),
    );
  });

  it('is code that does not compile: the errors, and where all of it is', async () => {
    await bench.standIn('ninja', `echo 'defects/cat.yaml:9:1: error: no such cat'; echo noise; exit 1`);
    expect(await trouble()).toContain(
      `mutants: QEMU could not be built:\n  defects/cat.yaml:9:1: error: no such cat\n  hint: all of it is in ${bench.workshop}/build.log\n`,
    );
    expect(await readFile(join(bench.workshop, 'build.log'), 'utf8')).toContain('\nnoise\n');
  });

  it('is a file that the build does not compile', async () => {
    await bench.write('defects/dog.yaml', await dog('animals/dog.c'));
    await bench.write(inSource('animals/dog.c'), 'int bark;\n');
    expect(await trouble()).toContain('so that their defects would have no effect: animals/dog.c');
  });

  it.each([
    ['that does not start', 'exit 1', 'does not start'],
    ['that takes any defect for none', 'echo with defects', 'takes an unknown defect for none'],
  ])('is a program %s', async (_, script, words) => {
    await bench.write('qemu', `#!/bin/sh\n${script}\n`);
    expect(await trouble()).toContain(`mutants: the program that was built ${words}`);
  });

  it('is a wrong option', async () => {
    const { code, stderr } = await bench.run('--jobs', 'many');
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: 'mutants: --jobs: expected a number above 0, got many\n  hint: see --help\n',
    });
  });
});

async function dog(file: string): Promise<string> {
  return `defects:
  - { id: dog.silent, title: The dog is silent, additions: [{ file: ${file}, top: true, code: 'bool d(void) { return defect("dog.silent"); }' }] }
`;
}
