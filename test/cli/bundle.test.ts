import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as zlib from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { World, worlds } from './world.js';

const world = worlds();
const variant = 'quit.connected[role=server,driver=none]';

/** A run of a real QEMU, packed. */
const origin = new World();
const run = () => join(origin.cwd, 'reports', readdirSync(join(origin.cwd, 'reports'))[0]!);
const bundle = join(origin.cwd, 'first.tgz');
beforeAll(async () => {
  expect(await origin.run('run', variant, '--quiet', '--bundle', bundle)).toBe(0);
});
afterAll(() => rmSync(origin.cwd, { recursive: true, force: true }));

/** The bundle, changed in its folder and packed again by tar. */
function tampered(w: World, change: (folder: string) => void): string {
  const dir = join(w.cwd, 'x');
  mkdirSync(dir);
  execFileSync('tar', ['xzf', bundle, '-C', dir]);
  const [name] = readdirSync(dir);
  change(join(dir, name!));
  const file = join(w.cwd, 'changed.tgz');
  execFileSync('tar', ['czf', file, '-C', dir, name!]);
  return file;
}

/** Sums that fit again: who changes a file can change them, too. */
function resum(folder: string): void {
  const sums = execFileSync(
    'sh',
    ['-c', 'find . -type f ! -name SHA256SUMS -printf "%P\\n" | xargs -d "\\n" sha256sum'],
    {
      cwd: folder,
    },
  );
  writeFileSync(join(folder, 'SHA256SUMS'), sums);
}

describe('a bundle', () => {
  it('has the whole run, a sheet, and sums that sha256sum checks', async () => {
    const w = world();
    execFileSync('tar', ['xzf', bundle, '-C', w.cwd]);
    const folder = join(w.cwd, readdirSync(w.cwd)[0]!);
    execFileSync('sha256sum', ['--quiet', '-c', 'SHA256SUMS'], { cwd: folder });
    expect(readdirSync(folder).sort()).toEqual(['SHA256SUMS', 'SUMMARY.txt', ...readdirSync(run())].sort());
    expect(readFileSync(join(folder, 'SUMMARY.txt'), 'utf8')).toMatch(/must +CONFORMING +NOT TESTED/);
    expect(readdirSync(origin.cwd).filter((name) => name.endsWith('.part'))).toEqual([]);
  });

  it('is sound as it was made', async () => {
    const w = world();
    expect(await w.run('verify', bundle)).toBe(0);
    expect(w.out).toMatch(
      /must: server conforming, client not tested\nSOUND {2}\d+ files as they were made, 1 verdict as/,
    );
  });

  it('is made of a stored run, too, with any packing that Node has', async () => {
    const w = world();
    const file = join(w.cwd, 'later.tar.zst');
    const code = await w.run('bundle', run(), file);
    if ('createZstdCompress' in zlib) {
      expect(code).toBe(0);
      expect(await w.run('verify', file)).toBe(0);
    } else {
      expect(code).toBe(2);
      expect(w.err).toMatch(/this Node \(v[\d.]+\) has no zstd \(name it \.tgz/);
      expect(existsSync(file)).toBe(false);
    }
  });
});

describe('verify', () => {
  it.each<[string, (folder: string) => void, RegExp]>([
    [
      'changed',
      (dir) => writeFileSync(join(dir, 'junit.xml'), ''),
      /FAULT {2}junit\.xml was changed: its sum is another/,
    ],
    ['missing', (dir) => rmSync(join(dir, 'junit.xml')), /FAULT {2}junit\.xml is missing/],
    ['added', (dir) => writeFileSync(join(dir, 'more'), ''), /FAULT {2}more has no sum in SHA256SUMS/],
  ])('finds a file that was %s', async (_, change, fault) => {
    const w = world();
    expect(await w.run('verify', tampered(w, change))).toBe(1);
    expect(w.out).toMatch(fault);
    expect(w.out).toMatch(/\nNOT SOUND {2}1 fault in /);
  });

  it('finds a verdict that the timelines do not give, and a sheet of other results', async () => {
    const w = world();
    const file = tampered(w, (dir) => {
      const path = join(dir, 'results.json');
      const result = JSON.parse(readFileSync(path, 'utf8'));
      const judged = result.variants[0].requirements.find((one: { requirement: string }) => one.requirement === 'R1');
      judged.judgement = { outcome: 'break', kind: 'crash', seen: 'made up', events: [0] };
      writeFileSync(path, JSON.stringify(result));
      resum(dir);
    });
    expect(await w.run('verify', file)).toBe(1);
    expect(w.out).toMatch(/FAULT {2}1 verdict not what the timelines give/);
    expect(w.out).toMatch(/FAULT {2}SUMMARY\.txt is not what results\.json gives/);
  });

  it.each<[string, (dir: string, timeline: string) => void, RegExp[]]>([
    [
      'a verdict that its own requirements do not give',
      (dir) => {
        const path = join(dir, 'results.json');
        writeFileSync(
          path,
          readFileSync(path, 'utf8').replace('"verdict": "pass"', '"verdict": "fail", "kind": "hang"'),
        );
      },
      [/FAULT {2}1 verdict not what the timelines give: quit\.connected.*driver=none\]\n/, /summary and exit code in/],
    ],
    [
      'another exit code',
      (dir) => {
        const path = join(dir, 'results.json');
        writeFileSync(path, readFileSync(path, 'utf8').replace('"exitCode": 0', '"exitCode": 1'));
      },
      [/FAULT {2}summary and exit code in results\.json are not what its verdicts give/],
    ],
    [
      'an event that was taken out',
      (_, timeline) => writeFileSync(timeline, readFileSync(timeline, 'utf8').replace(/\n.*/, '')),
      [/FAULT {2}quit\.connected[^\n]*: timelines\/quit\S*:2: expected event number 1\n/],
    ],
    [
      'the timeline of another variant',
      (_, timeline) => writeFileSync(timeline, readFileSync(timeline, 'utf8').replaceAll(variant, 'quit.other')),
      [/FAULT {2}quit\.connected.* is of quit\.other\n/],
    ],
    [
      'reports of other results',
      (dir) => {
        for (const name of ['junit.xml', 'report.tap', 'ctrf.json', 'report.html'])
          writeFileSync(
            join(dir, name),
            readFileSync(join(dir, name), 'utf8').replaceAll('quit.connected', 'quit.more'),
          );
      },
      ['junit.xml', 'report.tap', 'ctrf.json', 'report.html'].map((name) => new RegExp(`FAULT  ${name} is not what`)),
    ],
    [
      'another expectation file',
      (dir) => writeFileSync(join(dir, 'expected.yaml'), ''),
      [/FAULT {2}expected\.yaml is not what the run was judged by/],
    ],
  ])('finds %s, though the sums fit', async (_, change, faults) => {
    const w = world();
    const file = tampered(w, (dir) => {
      change(dir, join(dir, 'timelines', readdirSync(join(dir, 'timelines'))[0]!));
      resum(dir);
    });
    expect(await w.run('verify', file)).toBe(1);
    for (const fault of faults) expect(w.out).toMatch(fault);
    expect(w.out).not.toContain('vhost-reconnect-verify-');
  });

  it('says what it could not check of another version of the tester', async () => {
    const w = world();
    const file = tampered(w, (dir) => {
      const path = join(dir, 'results.json');
      const result = JSON.parse(readFileSync(path, 'utf8'));
      writeFileSync(path, JSON.stringify({ ...result, tester: { ...result.tester, version: '9.9.9' } }));
      resum(dir);
    });
    expect(await w.run('verify', file)).toBe(0);
    expect(w.out).toMatch(/NOTE {2}verdicts, sheet and reports were not checked: they are of tester 9\.9\.9/);
  });

  it.each<[string, (w: World) => string, RegExp]>([
    ['that is not there', (w) => join(w.cwd, 'no.tgz'), /no\.tgz is not a bundle of this tester, or damaged: /],
    ['of another name', (w) => join(w.cwd, 'no.zip'), /no\.zip: a bundle's name ends in \.tgz/],
    [
      'that is no archive',
      (w) => {
        writeFileSync(join(w.cwd, 'no.tgz'), 'text');
        return join(w.cwd, 'no.tgz');
      },
      /is not a bundle of this tester, or damaged/,
    ],
    [
      'that was cut short',
      (w) => {
        writeFileSync(join(w.cwd, 'short.tgz'), readFileSync(bundle).subarray(0, 20_000));
        return join(w.cwd, 'short.tgz');
      },
      /is not a bundle of this tester, or damaged: /,
    ],
    [
      'that is far more than it seems',
      (w) => tampered(w, (dir) => writeFileSync(join(dir, 'zeros'), Buffer.alloc(50_000_000))),
      /max decompression ratio exceeded/,
    ],
    [
      'with two files of one name',
      (w) => {
        const file = join(w.cwd, 'twice.tar');
        const dir = join(w.cwd, 'x');
        mkdirSync(dir);
        execFileSync('tar', ['xzf', bundle, '-C', dir]);
        const [name] = readdirSync(dir);
        execFileSync('tar', ['cf', file, '-C', dir, name!]);
        execFileSync('tar', ['rf', file, '-C', dir, `${name}/results.json`]);
        execFileSync('gzip', ['-S', '.gz', file]);
        return `${file}.gz`;
      },
      /results\.json is in it twice/,
    ],
    [
      'that leads out of its folder',
      (w) => {
        const file = join(w.cwd, 'out.tgz');
        writeFileSync(join(w.cwd, 'evil'), '');
        execFileSync('tar', ['czf', file, '-C', w.cwd, '--transform', 's,^,../../,', '-P', 'evil']);
        return file;
      },
      /path contains '\.\.'/,
    ],
    ['without sums', (w) => tampered(w, (dir) => rmSync(join(dir, 'SHA256SUMS'))), /it has no SHA256SUMS/],
    [
      'with a link in it',
      (w) => tampered(w, (dir) => symlinkSync('/etc/passwd', join(dir, 'link'))),
      /link is no plain file/,
    ],
  ])('refuses a file %s', async (_, file, message) => {
    const w = world();
    expect(await w.run('verify', file(w))).toBe(2);
    expect(w.err).toMatch(message);
    expect(w.err.trim().split('\n')).toHaveLength(1);
  });
});

describe('run --bundle', () => {
  it('says that a file cannot be written, and leaves the run', async () => {
    const w = world();
    expect(await w.run('run', variant, '--quiet', '--bundle', 'no/such/folder.tgz')).toBe(2);
    expect(w.err).toMatch(/cannot write .*no\/such\/folder\.tgz: ENOENT.* \(the run itself is stored\)/);
    expect(readdirSync(join(w.cwd, 'reports'))).toHaveLength(1);
  });

  it('refuses a name before anything runs', async () => {
    const w = world();
    expect(await w.run('run', variant, '--bundle', 'a.zip')).toBe(2);
    expect(w.err).toMatch(/a\.zip: a bundle's name ends in/);
    expect(readdirSync(w.cwd)).toEqual([]);
  });
});
