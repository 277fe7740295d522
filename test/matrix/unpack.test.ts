import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Interrupted } from '../mutants/commands.js';
import { hostMirror } from './apt.js';
import { FakeApt } from './fake-apt.js';
import { unpackQemu } from './unpack.js';

const release = { suite: 'trixie', name: 'Debian 13' };
let apt: FakeApt;
let lock: number;
let said: string[];
let controller: AbortController;

beforeEach(() => {
  apt = new FakeApt();
  lock = openSync(join(apt.dir, 'lock'), 'w');
  said = [];
  controller = new AbortController();
});
afterEach(() => {
  closeSync(lock);
  apt.remove();
});

const cache = () => join(apt.dir, 'cache/trixie');
const unpack = (over: { dir?: string; keyring?: string } = {}) =>
  unpackQemu(release, {
    dir: cache(),
    mirror: 'http://mirror.example/debian',
    keyring: apt.keyring,
    surroundings: { signal: controller.signal, log: join(apt.dir, 'log'), lock },
    say: (text) => said.push(text),
    ...over,
  });
/** The versions in the cache. */
const kept = () => readdirSync(cache()).filter((name) => name.startsWith('1-') || name === 'partial');

describe("a release's QEMU", () => {
  it('is unpacked whole, and runs from where it is by its own loader', async () => {
    apt.tree('echo "$@"');
    const { version, qemu } = await unpack();
    expect(version).toBe('1:7.2-1');
    const usr = join(cache(), '1-1%3A7.2-1/root/usr');
    expect(execFileSync(qemu, ['--version', 'a b'], { encoding: 'utf8' })).toBe(
      `--library-path ${usr}/lib/some-linux-gnu ${usr}/bin/qemu-system-x86_64 ` +
        `-L ${usr}/share/qemu -L ${usr}/share/seabios -L ${usr}/lib/ipxe/qemu --version a b\n`,
    );
    expect(kept()).toEqual(['1-1%3A7.2-1']);
    expect(existsSync(join(usr, '../lib/some-linux-gnu/libc.so.6'))).toBe(true);
  });

  it('is asked for by an apt of its own, with the keyring and the mirror that are given', async () => {
    await unpack();
    expect(readFileSync(join(cache(), 'sources.list'), 'utf8')).toBe(
      `deb [signed-by=${apt.keyring}] http://mirror.example/debian trixie main\n`,
    );
    const conf = readFileSync(join(cache(), 'apt.conf'), 'utf8');
    expect(conf).toContain(`Dir::State "${cache()}/state";`);
    expect(conf).toContain('APT::Get::AllowUnauthenticated "false";');
    for (const call of apt.calls('apt-get')) expect(call).toContain(`--config-file ${cache()}/apt.conf`);
  });

  it('is taken from the cache as long as the release has the same', async () => {
    const first = await unpack();
    expect(await unpack()).toEqual(first);
    expect(apt.calls('--download-only')).toHaveLength(1);
    expect(apt.calls('update')).toHaveLength(2);
  });

  it('gives way to a newer one', async () => {
    await unpack();
    apt.version = '1:7.2-2';
    expect((await unpack()).version).toBe('1:7.2-2');
    expect(kept()).toEqual(['1-1%3A7.2-2']);
  });

  it('is unpacked again when an interruption left half of it', async () => {
    mkdirSync(join(cache(), 'partial/root/usr'), { recursive: true });
    writeFileSync(join(cache(), 'partial/qemu'), '');
    await unpack();
    expect(kept()).toEqual(['1-1%3A7.2-1']);
  });
});

describe('trouble', () => {
  const offline = 'E: Failed to fetch http://mirror.example/dists/trixie/InRelease Could not resolve mirror.example';

  it('with the network is told in one line', async () => {
    apt.refuse('update', offline);
    await expect(unpack()).rejects.toMatchObject({
      message: expect.stringMatching(/^cannot read the index of trixie: E: Failed to fetch .*resolve mirror\.example$/),
      hint: expect.stringContaining('check the network'),
    });
    expect(kept()).toEqual([]);
  });

  it('with the network lets what was unpacked before be used, and says so', async () => {
    const before = await unpack();
    apt.refuse('update', offline);
    expect(await unpack()).toEqual(before);
    expect(said.at(-1)).toMatch(/Could not resolve mirror\.example; the QEMU that was unpacked before is used$/);
  });

  it('with a file that the mirror lost leaves nothing behind', async () => {
    apt.refuse('install', 'E: Failed to fetch http://mirror.example/q.deb  404  Not Found');
    await expect(unpack()).rejects.toThrow('cannot fetch qemu-system-x86 of trixie: E: Failed to fetch');
    expect(kept()).toEqual([]);
  });

  it('with a release that has moved names the archive', async () => {
    apt.refuse(
      'update',
      "E: The repository 'http://mirror.example/debian trixie Release' does not have a Release file.",
    );
    await expect(unpack()).rejects.toMatchObject({
      message: expect.stringMatching(/^the mirror has no trixie: /),
      hint: 'old releases move to http://archive.debian.org/debian: --mirror trixie=URL',
    });
  });

  it('with a proxy that answers nonsense is trouble with the network, whatever apt concludes', async () => {
    const words = `E: Failed to fetch http://mirror.example/dists/trixie/InRelease  400  Bad Request
E: The repository 'http://mirror.example trixie InRelease' is not signed.`;
    apt.refuse('update', words);
    await expect(unpack()).rejects.toThrow('cannot read the index of trixie: E: Failed to fetch');
  });

  it('with a signature is no reason to use what is there', async () => {
    await unpack();
    apt.refuse('update', "W: GPG error: the following signatures couldn't be verified: NO_PUBKEY 0123456789ABCDEF");
    await expect(unpack()).rejects.toThrow('the index of trixie is not trusted');
  });

  it('with the keyring is told before anything is fetched', async () => {
    await expect(unpack({ keyring: join(apt.dir, 'none.gpg') })).rejects.toMatchObject({
      message: expect.stringMatching(/^there is no .*none\.gpg/),
      hint: 'install debian-archive-keyring',
    });
    expect(apt.calls('apt')).toEqual([]);
  });

  it('with a full disk is told as that, and leaves nothing behind', async () => {
    apt.program('dpkg-deb', 'echo "tar: ./usr: Cannot write: No space left on device" >&2; exit 2');
    await expect(unpack()).rejects.toMatchObject({
      message: expect.stringMatching(/^the disk is full while unpacking QEMU of trixie/),
    });
    expect(kept()).toEqual([]);
  });

  it('with a package that does not run here is found before it is kept', async () => {
    apt.tree('exit 1');
    await expect(unpack()).rejects.toThrow('QEMU 1:7.2-1 of Debian 13 does not run here');
    expect(kept()).toEqual([]);
  });

  it('with a package that has no loader', async () => {
    rmSync(join(apt.dir, 'tree/usr/lib/some-linux-gnu/libc.so.6'));
    await expect(unpack()).rejects.toThrow('there is no loader');
  });

  it('with a colon in the path, which the loader would split', async () => {
    await expect(unpack({ dir: join(apt.dir, 'a:b') })).rejects.toThrow('has a colon in it');
  });

  it('is none when it is interrupted: nothing is left', async () => {
    apt.program('bash', `: >'${join(apt.dir, 'unpacking')}'; exec sleep 60`);
    const done = unpack();
    await expect.poll(() => existsSync(join(apt.dir, 'unpacking'))).toBe(true);
    controller.abort();
    await expect(done).rejects.toBeInstanceOf(Interrupted);
    expect(kept()).toEqual([]);
  });
});

describe("the host's mirror", () => {
  const targets = (...lines: string[]) => apt.program('apt-get', lines.map((line) => `echo '${line}'`).join('\n'));

  it("is the one of Debian's main archive", async () => {
    targets('Debian http://near.example/debian-security', 'Debian http://near.example/debian', 'Other http://x/debian');
    expect(await hostMirror()).toBe('http://near.example/debian');
  });

  it("is Debian's own on another distribution", async () => {
    targets('Ubuntu http://archive.example/ubuntu');
    expect(await hostMirror()).toBe('http://deb.debian.org/debian');
  });

  it('cannot be told without apt', async () => {
    process.env.PATH = join(apt.dir, 'nothing');
    await expect(hostMirror()).rejects.toThrow('there is no apt-get');
  });
});
