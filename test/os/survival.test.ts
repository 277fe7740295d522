import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { buildSync } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';

let dir: string;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'os-'));
  const root = resolve(import.meta.dirname, '../..');
  symlinkSync(join(root, 'node_modules'), join(dir, 'node_modules'));
  buildSync({
    entryPoints: [join(import.meta.dirname, 'child.ts')],
    outfile: join(dir, 'child.mjs'),
    bundle: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
  });
});

afterAll(() => rmSync(dir, { recursive: true }));

/** Runs one scenario of child.ts; a hang is killed and shows as `signal`. */
async function run(scenario: string, command = [process.execPath]) {
  const [program, ...args] = [...command, join(dir, 'child.mjs'), scenario];
  const child = spawn(program!, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: 20_000, killSignal: 'SIGKILL' });
  const [stdout, stderr, [code, signal]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit'),
  ]);
  return { code, signal, stderr, result: stdout === '' ? undefined : JSON.parse(stdout) };
}

test.concurrent.each<[scenario: string, outcome: object]>([
  ['exit', { code: 7, stderr: '' }],
  ['exit-in-callback', { code: 8, stderr: '' }],
  ['uncaught', { code: 1, stderr: expect.stringContaining('elsewhere') }],
  ['throw', { code: 1, stderr: expect.stringContaining('in the callback') }],
  ['throw-handled', { code: 0, result: ['call 1', 'call 2'] }],
  ['loop-ends', { code: 0, stderr: '', result: 'ended' }],
  ['shrunk-memory', { code: 0, result: ['EFAULT', 'EFAULT', 'EFAULT', 'done', 'EFAULT'] }],
  ['sigpipe', { code: 0, result: ['EPIPE', false] }],
])('survives: %s', async (scenario, outcome) => {
  expect(await run(scenario)).toMatchObject({ signal: null, ...outcome });
});

test('a watch that nobody refers to is not collected', async () => {
  expect(await run('garbage', [process.execPath, '--expose-gc'])).toMatchObject({ code: 0, signal: null });
});

test('a message with more descriptors than fit is an error that keeps none of them', async () => {
  const limited = ['sh', '-c', `ulimit -n 64; exec "$0" "$@"`, process.execPath];
  const { code, result } = await run('descriptor-limit', limited);
  expect({ code, result }).toEqual({ code: 0, result: ['MSG_CTRUNC', 'done', 'done', 'done', 'EMFILE'] });
});
