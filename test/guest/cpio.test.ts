import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CpioEntry, cpio } from '../../src/guest/cpio.js';
import { initramfs } from '../../src/guest/index.js';
import { guestFolder } from './bench.js';

/** What an archive holds, by the rules of cpio(5), "New ASCII Format". */
function read(archive: Buffer): { path: string; mode: number; content: string }[] {
  const entries = [];
  for (let at = 0; ; ) {
    const field = (i: number) => Number.parseInt(archive.toString('latin1', at + 6 + i * 8, at + 14 + i * 8), 16);
    expect(archive.toString('latin1', at, at + 6)).toBe('070701');
    const [mode, size, nameSize] = [field(1), field(6), field(11)];
    const path = archive.toString('utf8', at + 110, at + 110 + nameSize - 1);
    expect(archive[at + 110 + nameSize - 1]).toBe(0);
    const from = (at + 110 + nameSize + 3) & ~3;
    at = (from + size + 3) & ~3;
    if (path === 'TRAILER!!!') {
      expect(at).toBe(archive.length);
      return entries;
    }
    entries.push({ path, mode, content: archive.toString('latin1', from, from + size) });
  }
}

describe('cpio', () => {
  it('is read back', () => {
    const path = fc.stringMatching(/^[a-zé-]{1,9}(\/[a-z.]{1,5}){0,2}$/);
    const entry: fc.Arbitrary<CpioEntry> = fc.oneof(
      fc.record({ path, kind: fc.constant('directory' as const) }),
      fc.record({
        path,
        kind: fc.constant('file' as const),
        content: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
        executable: fc.boolean(),
      }),
    );
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 8 }), (entries) => {
        expect(read(cpio(entries))).toEqual(
          entries.map((one) => ({
            path: one.path,
            mode: one.kind === 'directory' ? 0o040755 : one.executable ? 0o100755 : 0o100644,
            content: one.kind === 'directory' ? '' : one.content.toString('latin1'),
          })),
        );
      }),
    );
  });

  it('is read by another program', () => {
    const entries = [
      { path: 'bin', kind: 'directory' },
      { path: 'bin/a', kind: 'file', content: Buffer.from('12345'), executable: true },
    ] as const;
    const run = (...args: string[]) =>
      execFileSync(join(guestFolder(), 'busybox'), ['cpio', ...args], { input: cpio(entries), encoding: 'utf8' });
    expect(run('-t', '--quiet')).toBe('bin\nbin/a\n');
    expect(run('-i', '--quiet', '--to-stdout', 'bin/a')).toBe('12345');
  });
});

describe('initramfs', () => {
  it('holds busybox, the modules in their order, and an init for it', () => {
    const modules = [
      { name: 'b.ko', content: Buffer.from('B') },
      { name: 'a.ko', content: Buffer.from('A') },
    ];
    const entries = read(gunzipSync(initramfs({ busybox: Buffer.from('box'), modules })));
    const files = Object.fromEntries(entries.map(({ path, mode, content }) => [path, { mode, content }]));
    expect(files['bin/busybox']).toEqual({ mode: 0o100755, content: 'box' });
    expect(files['modules/order']!.content).toBe('b.ko\na.ko\n');
    expect(files['modules/a.ko']!.content).toBe('A');
    expect(files.init).toMatchObject({ mode: 0o100755, content: expect.stringMatching(/^#!\/bin\/busybox sh\n/) });
    // A folder comes before what is in it.
    const paths = entries.map(({ path }) => path);
    expect(paths.indexOf('modules')).toBeLessThan(paths.indexOf('modules/b.ko'));
  });
});
