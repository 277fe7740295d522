import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readdir, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { build } from 'esbuild';
import { beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { findProgram, findQemu, Workspace } from '../../src/qemu/index.js';
import { eventually, isAlive, scratch } from './support.js';

describe('Workspace', () => {
  it('makes private directories, and removes all on close', async () => {
    const workspace = await Workspace.create('vr-test');
    expect((await stat(workspace.path)).mode & 0o777).toBe(0o700);
    const [one, two] = [await workspace.makeDir(), await workspace.makeDir()];
    expect(one.path).not.toBe(two.path);
    await writeFile(join(one.path, 'file'), '');
    await one.remove();
    await one.remove();
    expect(await readdir(workspace.path)).toEqual([two.path.slice(workspace.path.length + 1)]);
    await writeFile(workspace.file('shared'), '');
    await workspace.close();
    expect(existsSync(workspace.path)).toBe(false);
    await workspace.close();
  });

  it('refuses a folder that is too deep for sockets, and one that is not there', async () => {
    const dir = await scratch();
    vi.stubEnv('TMPDIR', join(dir, 'none'));
    await expect(Workspace.create()).rejects.toMatchObject({ code: 'ERR_WORKSPACE' });
    vi.stubEnv('TMPDIR', dir);
    await expect(Workspace.create('x'.repeat(80))).rejects.toMatchObject({ code: 'ERR_WORKSPACE' });
    vi.unstubAllEnvs();
    expect(await readdir(dir)).toEqual([]);
  });
});

describe('the death of the tester', () => {
  let program: string;
  let qemuPath: string;

  beforeAll(async () => {
    const entry = join(import.meta.dirname, 'workspace.tester.ts');
    const options = { bundle: true, platform: 'node', format: 'esm', write: false } as const;
    program = (await build({ ...options, entryPoints: [entry] })).outputFiles[0]!.text;
    qemuPath = await findQemu();
  });

  /** Starts a tester and waits for its QEMU. */
  async function tester(env: NodeJS.ProcessEnv = process.env) {
    const file = join(await scratch(), 'tester.mjs');
    await writeFile(file, program);
    const child: ChildProcess = spawn(process.execPath, [file, qemuPath], {
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    const said = await Promise.race([once(child.stdout!, 'data'), text(child.stdout!)]);
    return { child, ...(JSON.parse(String(said)) as { pid: number; dir: string }) };
  }

  it.each(['SIGKILL', 'SIGTERM', 'SIGINT'] as const)('by %s leaves neither QEMU nor files', async (signal) => {
    const { child, pid, dir } = await tester();
    expect(isAlive(pid)).toBe(true);
    expect(existsSync(dir)).toBe(true);
    child.kill(signal);
    await eventually(() => !isAlive(pid) && !existsSync(dir));
  });

  it('leaves nothing where there is no parent-death signal either', async () => {
    const bin = await scratch();
    for (const name of ['readlink', 'rm', 'sleep']) await symlink((await findProgram(name))!, join(bin, name));
    const { child, pid, dir } = await tester({ PATH: bin });
    child.kill('SIGKILL');
    await eventually(() => !isAlive(pid) && !existsSync(dir));
  });
});
