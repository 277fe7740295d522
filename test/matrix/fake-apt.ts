import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

/** An archive with one package, reached through programs that stand for apt's and dpkg's. */
export class FakeApt {
  readonly dir = mkdtempSync(join(tmpdir(), 'matrix-'));
  readonly keyring = join(this.dir, 'keyring.gpg');
  readonly #bin = join(this.dir, 'bin');
  readonly #path = process.env.PATH;

  constructor() {
    mkdirSync(this.#bin);
    writeFileSync(this.keyring, '');
    this.program('apt-get', this.#aptGet());
    this.#aptCache('1:7.2-1');
    this.tree('echo QEMU emulator version 7.2.0');
    // What is unpacked is a folder that tar packs.
    this.program('dpkg-deb', `tar --create --file=- --directory='${join(this.dir, 'tree')}' .`);
    process.env.PATH = `${this.#bin}${delimiter}${this.#path}`;
  }

  /** Lets a program do something else. @param body of a shell script */
  program(name: string, body: string): void {
    const path = join(this.#bin, name);
    writeFileSync(path, `#!/bin/sh\necho "${name} $*" >>'${join(this.dir, 'calls')}'\n${body}\n`);
    chmodSync(path, 0o755);
  }

  /** Lets apt-get fail at a command, with its words. */
  refuse(command: 'update' | 'install', words: string): void {
    this.program('apt-get', `case "$*" in *${command}*) echo "${words}" >&2; exit 100;; esac\n${this.#aptGet()}`);
  }

  set version(version: string) {
    this.#aptCache(version);
  }

  /** What the package holds. @param loader what the loader does, as a shell script: it runs QEMU */
  tree(loader: string): void {
    const lib = join(this.dir, 'tree/usr/lib/some-linux-gnu');
    for (const dir of [lib, join(this.dir, 'tree/usr/bin')]) mkdirSync(dir, { recursive: true });
    writeFileSync(join(lib, 'ld-linux-some.so.2'), `#!/bin/sh\n${loader}\n`, { mode: 0o755 });
    writeFileSync(join(lib, 'libc.so.6'), '');
  }

  /** The calls of programs so far that have these words. */
  calls(words: string): string[] {
    const file = join(this.dir, 'calls');
    return existsSync(file)
      ? readFileSync(file, 'utf8')
          .split('\n')
          .filter((line) => line.includes(words))
      : [];
  }

  remove(): void {
    process.env.PATH = this.#path;
    rmSync(this.dir, { recursive: true, force: true });
  }

  #aptCache(version: string): void {
    this.program('apt-cache', `printf 'qemu-system-x86:\\n  Installed: (none)\\n  Candidate: ${version}\\n'`);
  }

  #aptGet(): string {
    return `for word; do case $word in Dir::Cache::archives=*) : >"\${word#*=}/qemu.deb";; esac; done`;
  }
}
