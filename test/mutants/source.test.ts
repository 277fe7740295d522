import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sourceLines, sourceStanzas } from './source.js';
import { Workbench } from './workbench.js';

describe('the sources of apt', () => {
  it('speak of source packages, in one-line style, with their options', () => {
    const list = [
      '# deb http://old.example stable main',
      'deb [signed-by=/k.gpg arch=amd64] http://mirror.example/debian stable main contrib',
      'deb-src [signed-by=/k.gpg arch=amd64] http://mirror.example/debian stable main contrib',
      '  deb http://b.example/debian stable main',
    ];
    expect(sourceLines(list.join('\n')).split('\n')).toEqual([
      list[0],
      list[2],
      'deb-src http://b.example/debian stable main',
    ]);
  });

  it('speak of source packages, in deb822 style, with everything else', () => {
    const text = (types: string) =>
      `Types: ${types}\nURIs: http://a\nSigned-By:\n -----BEGIN PGP\n .\n\ntypes:deb\nEnabled: no\n`;
    expect(sourceStanzas(text('deb deb-src'))).toBe(text('deb-src').replace('types:deb\n', 'Types: deb-src\n'));
  });
});

describe('fetching', () => {
  let bench: Workbench;
  beforeEach(async () => {
    bench = await Workbench.open();
  });
  afterEach(() => bench.close());

  /** The tool's complaint. Nothing of what was fetched is left, but for the log. */
  async function trouble(): Promise<string> {
    const { code, stdout, stderr } = await bench.run('pin');
    expect({ code, stdout }, stderr).toEqual({ code: 2, stdout: '' });
    const left = await readdir(bench.workshop).catch(() => []);
    expect(left.filter((name) => !['lock', 'source.log'].includes(name))).toEqual([]);
    return stderr.split('\n').slice(-3).join('\n');
  }

  it('asks an apt of its own for the source of what is installed', async () => {
    await bench.standIn(
      'apt-get',
      `case "$*" in *' update') cp "$2" "$BENCH/apt.conf"; cp -r "$(dirname "$2")/sources" "$BENCH/seen" ;;
       *) touch qemu_7.2-1.dsc ;; esac`,
    );
    await bench.write('parts/ours.sources', 'Types: deb\nURIs: http://c\n');
    await bench.write('parts/ours.gpg', 'no package source');
    expect(await bench.run('pin')).toMatchObject({ code: 0 });
    const [query, , update, source] = (await readFile(bench.path('calls'), 'utf8')).split('\n');
    expect(query).toContain('qemu-system-x86');
    expect(update).toMatch(/--quiet update$/);
    expect(source).toMatch(/--only-source --download-only source qemu=1:7\.2-1$/);
    const conf = await readFile(bench.path('apt.conf'), 'utf8');
    for (const key of ['Dir::State', 'Dir::State::status', 'Dir::Cache', 'Dir::Etc::sourceparts'])
      expect(conf).toContain(`${key} "${bench.workshop}/`);
    const read = (name: string) => readFile(bench.path('seen', name), 'utf8');
    expect((await readdir(bench.path('seen'))).sort()).toEqual(['main-list.list', 'ours.sources']);
    expect(await read('main-list.list')).toBe('deb-src http://mirror.example/debian stable main\n');
    expect(await read('ours.sources')).toBe('Types: deb-src\nURIs: http://c\n');
  });

  it('that was killed half-way is done anew', async () => {
    await bench.standIn('dpkg-source', `mkdir "$3"; touch "$3/half" "$BENCH/started"; exec sleep 600`);
    const { child, outcome, started } = bench.startUntil('started', 'pin');
    await started;
    child.kill('SIGKILL');
    await outcome;
    await bench.standIn('dpkg-source', `cp -r "$BENCH/source" "$3"`);
    expect(await bench.run('pin')).toMatchObject({ code: 0 });
    expect(await readdir(join(bench.workshop, 'source'))).toEqual(['animals', 'configure']);
  });

  /** What apt says on update and when it shall fetch; the latter fails. */
  const apt = (update: string, source: string) =>
    bench.standIn('apt-get', `case "$*" in *' update') echo "${update}" ;; *) echo "${source}"; exit 100 ;; esac`);
  const UNREAD = 'W: Failed to fetch http://mirror.example/InRelease  Temporary failure resolving';
  const UNREACHABLE =
    'mutants: apt cannot reach the package archive: Failed to fetch http://mirror.example/InRelease  Temporary failure resolving\n' +
    '  hint: check the network and the proxy of apt\n';
  const MISSING =
    'mutants: the archive has no source qemu 1:7.2-1, which is installed; it has 1:7.2-9\n' +
    '  hint: bring the installed QEMU up to date: apt-get install qemu-system-x86\n';

  it('without network says so', async () => {
    await apt(UNREAD, "E: You must put some 'deb-src' URIs in your sources.list");
    await bench.standIn('apt-cache', 'exit 0');
    expect(await trouble()).toBe(UNREACHABLE);
  });

  it('that loses the network says so', async () => {
    await apt('', UNREAD.replace('W:', 'E:'));
    expect(await trouble()).toBe(UNREACHABLE);
  });

  it('of a version that the archive no longer has says which it has', async () => {
    await apt('', "E: Can not find version '1:7.2-1' of package 'qemu'");
    expect(await trouble()).toBe(MISSING);
  });

  it('of a version that is not there, while some archive is down, tells of that one', async () => {
    await apt(UNREAD, "E: Can not find version '1:7.2-1' of package 'qemu'");
    expect(await trouble()).toBe(
      MISSING.replace(/bring.*/, `not all of the archive could be read: ${UNREAD.slice(3)}`),
    );
  });

  it('without the archive among the package sources says so', async () => {
    await apt('', 'E: Unable to find a source package for qemu');
    await bench.standIn('apt-cache', 'exit 100');
    expect(await trouble()).toContain('mutants: no package source of apt has the source qemu\n  hint: ');
  });

  it('that fails for another reason says what apt says', async () => {
    await apt('', 'E: The unexpected');
    await bench.standIn('apt-cache', "echo 'Version: 1:7.2-1'");
    expect(await trouble()).toContain('  E: The unexpected\n  hint: all of it is in ');
  });

  it('without any package source says so', async () => {
    await bench.standIn('apt-config', `echo "LIST='/none'"; echo "PARTS='/none/'"`);
    expect(await trouble()).toContain('mutants: apt has no package sources');
  });

  it('onto a full disk says so', async () => {
    await bench.standIn('dpkg-source', `mkdir "$3"; echo 'tar: x: Cannot write: No space left on device'; exit 2`);
    expect(await trouble()).toContain(
      'mutants: the disk is full while unpacking the source: tar: x: Cannot write: No space left on device\n  hint: free some space',
    );
  });

  it('where this is not Debian says so', async () => {
    await bench.remove('dpkg-query');
    expect(await trouble()).toContain(
      'mutants: there is no dpkg-query: this is not Debian, nor made from it\n  hint: ',
    );
  });

  it('where QEMU is not installed says so', async () => {
    await bench.standIn('dpkg-query', `echo 'dpkg-query: no packages found matching qemu-system-x86' >&2; exit 1`);
    expect(await trouble()).toBe('mutants: qemu-system-x86 is not installed\n  hint: make setup installs it\n');
  });

  it('without a compiler that apt could install says what is missing', async () => {
    await bench.remove('cc');
    await bench.standIn('apt-get', 'exit 100');
    const { code, stderr } = await bench.run('pin');
    expect(code).toBe(2);
    expect(stderr).toContain('missing to build QEMU; as root: apt-get install gcc libc6-dev libfdt-dev\n');
    expect(stderr).toContain('mutants: what the build needs is not there\n  hint: the lines above say what to install');
  });
});
