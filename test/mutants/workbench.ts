import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, cp, mkdir, mkdtemp, readFile, rm, symlink, watch, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { pin } from './anchors.js';
import { loadMutations } from './defects.js';
import { readerOf } from './tree.js';

const root = join(import.meta.dirname, '../..');

/** Real programs that the tool and the stand-ins use. */
const REAL = [
  'sh',
  'cat',
  'cp',
  'dirname',
  'env',
  'flock',
  'id',
  'mkdir',
  'rm',
  'setpriv',
  'sleep',
  'tee',
  'test',
  'touch',
];
/** Programs whose mere presence counts. */
const IDLE = ['cc', 'make', 'meson', 'pkg-config', 'python3'];

/** The C file of the small source that the stand-in for dpkg-source unpacks. */
export const C_FILE = `#include "osdep.h"

int feed(int cat)
{
    int food = cat;
    return food;
}
`;

/** A QEMU as far as the build looks at it: it tells its version, and refuses defects that it does not have. */
const QEMU = `#!/bin/sh
case "\${VHOST_RECONNECT_DEFECT-none}" in none) ;; *) exit 2 ;; esac
echo 'QEMU emulator version 7.2.22 (Debian 1:7.2-1, with defects)'
`;

/** Stand-ins by name; each appends its name and arguments to the file \`calls\` of the bench. */
const STAND_INS = {
  'dpkg-query': `echo 'installed qemu 1:7.2-1'`,
  'apt-config': `echo "LIST='$BENCH/sources.list'"; echo "PARTS='$BENCH/parts/'"`,
  'apt-get': `case "$*" in *' source '*) touch qemu_7.2-1.dsc ;; esac`,
  'apt-cache': `echo 'Version: 1:7.2-9'`,
  'dpkg-source': `cp -r "$BENCH/source" "$3"`,
  ninja: `echo '[1/2] cc'; echo '[2/2] link'; cp "$BENCH/qemu" qemu-system-x86_64`,
};
export type StandIn = keyof typeof STAND_INS;

/** What a run of the tool came to. */
export interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** A machine made of stand-ins, on which the tool runs without network or compiler. */
export class Workbench {
  readonly #children: ChildProcess[] = [];

  private constructor(readonly dir: string) {}

  static async open(): Promise<Workbench> {
    const bench = new Workbench(await mkdtemp(join(tmpdir(), 'vhost-reconnect-mutants-')));
    await mkdir(bench.path('bin'));
    await mkdir(bench.path('parts'));
    const path = (process.env.PATH ?? '').split(delimiter);
    for (const name of REAL) {
      const real = path.map((dir) => join(dir, name)).find((file) => existsSync(file));
      if (real === undefined) throw new Error(`the tests need ${name}`);
      await symlink(real, bench.path('bin', name));
    }
    for (const [name, script] of Object.entries(STAND_INS)) await bench.standIn(name as StandIn, script);
    for (const name of IDLE) await bench.#program(name, 'exit 0');
    await bench.write('sources.list', 'deb http://mirror.example/debian stable main\n');
    await bench.write('qemu', QEMU);
    await chmod(bench.path('qemu'), 0o755);
    await bench.write('source/animals/cat.c', C_FILE);
    await bench.write(
      'source/configure',
      `#!/bin/sh
echo "configure $*" >> "$BENCH/calls"
echo '[{ "file": "../tree/animals/cat.c" }]' > compile_commands.json
`,
    );
    await chmod(bench.path('source/configure'), 0o755);
    await bench.defects('    return defect("cat.unfed");');
    return bench;
  }

  path(...parts: string[]): string {
    return join(this.dir, ...parts);
  }

  /** @param file relative to the bench */
  async write(file: string, text: string): Promise<void> {
    const path = resolve(this.dir, file);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
  }

  /** One defect, with this code before line 3 of the C file's function. */
  async defects(code: string): Promise<void> {
    await this.write(
      'defects/cat.yaml',
      `defects:
  - id: cat.unfed
    title: The cat is not fed
    additions:
      - file: animals/cat.c
        function: feed
        line: 3
        code: |
          ${code.trim()}
`,
    );
  }

  /** Replaces what a stand-in does. */
  async standIn(name: StandIn, script: string): Promise<void> {
    await this.#program(name, `printf '%s\\n' "${name} $*" >> "$BENCH/calls"\n${script}`);
  }

  async #program(name: string, script: string): Promise<void> {
    await writeFile(this.path('bin', name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  }

  async remove(name: string): Promise<void> {
    await rm(this.path('bin', name));
  }

  /** The stand-ins that were called since the last question, in their order. */
  async calls(): Promise<string[]> {
    const text = await readFile(this.path('calls'), 'utf8').catch(() => '');
    await rm(this.path('calls'), { force: true });
    return text.split('\n').flatMap((line) => line.split(' ', 1).filter((name) => name !== ''));
  }

  /** The folder of the source, in the cache. */
  get workshop(): string {
    return this.path('cache/mutants', `qemu-7.2-1-${process.arch}`);
  }

  /** Starts the tool. */
  start(...args: string[]): { child: ChildProcess; outcome: Promise<Outcome>; said(text: string): Promise<void> } {
    const argv = [join(root, 'scripts/tool.mjs'), join(root, 'test/mutants/main.ts'), ...args];
    const env = { PATH: this.path('bin'), BENCH: this.dir, HOME: this.dir, VHOST_RECONNECT_CACHE: this.path('cache') };
    const child = spawn(process.execPath, [...argv, '--defects', this.path('defects')], { env, cwd: root });
    this.#children.push(child);
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (text: Buffer) => {
      stdout += text.toString();
    });
    child.stderr.on('data', (text: Buffer) => {
      stderr += text.toString();
    });
    return {
      child,
      outcome: once(child, 'close').then(([code]) => ({ code: code as number | null, stdout, stderr })),
      async said(text) {
        while (!stderr.includes(text)) await once(child.stderr, 'data');
      },
    };
  }

  /** As `start`, with the moment at which a stand-in makes a file of the bench. */
  startUntil(file: string, ...args: string[]) {
    const seen = async () => {
      for await (const { filename } of watch(this.dir)) if (filename === file) return;
    };
    const started = seen();
    return { ...this.start(...args), started };
  }

  run(...args: string[]): Promise<Outcome> {
    return this.start(...args).outcome;
  }

  /** Does what an earlier run did: the source is there, and the defects are pinned to it. */
  async prepare(): Promise<void> {
    const source = join(this.workshop, 'source');
    await cp(this.path('source'), source, { recursive: true });
    const { additions } = await loadMutations(this.path('defects'));
    await this.write('anchors.json', JSON.stringify(await pin(additions, '1:7.2-1', readerOf(source))));
  }

  async close(): Promise<void> {
    for (const child of this.#children)
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGKILL');
        await once(child, 'close');
      }
    await rm(this.dir, { recursive: true, force: true });
  }
}
