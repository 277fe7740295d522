import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
const tool = join(root, 'scripts/tool.mjs');
/** Where bundles are kept, and what those of this test begin with. */
const bundles = join(root, 'node_modules/.cache/tools');
const NAME = 'tool-test';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'vhost-reconnect-tool-'));
});
afterEach(async () => {
  await rm(dir, { recursive: true });
  for (const name of await readdir(bundles)) if (name.startsWith(`${NAME}-`)) await rm(join(bundles, name));
});

/** Runs scripts/tool.mjs on an entry with this source. */
async function start(source: string, ...args: string[]) {
  const entry = join(dir, `${NAME}.ts`);
  await writeFile(entry, source);
  return child(entry, ...args);
}

function child(...args: string[]) {
  const process_ = spawn(process.execPath, [tool, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  process_.stdout.on('data', (text: Buffer) => {
    stdout += text.toString();
  });
  process_.stderr.on('data', (text: Buffer) => {
    stderr += text.toString();
  });
  const outcome = once(process_, 'close').then(([code, signal]) => ({ code, signal, stdout, stderr }));
  return { process: process_, outcome };
}

it('gives a tool its arguments, its streams, its place, and takes its exit code', async () => {
  const { process: started, outcome } = await start(
    `import { z } from 'zod';
     const text: string = await new Promise((resolve) => process.stdin.once('data', (data) => resolve(String(data))));
     console.log(JSON.stringify([process.argv.slice(2), text, import.meta.url, import.meta.dirname, import.meta.filename]));
     console.error(z.string().parse('talk'));
     process.exitCode = 7;`,
    'a',
    '--b',
  );
  started.stdin.end('input');
  const entry = join(dir, `${NAME}.ts`);
  const place = [pathToFileURL(entry).href, dir, entry];
  const { stdout, ...rest } = await outcome;
  expect(rest).toEqual({ code: 7, signal: null, stderr: 'talk\n' });
  expect(JSON.parse(stdout)).toEqual([['a', '--b'], 'input', ...place]);
});

it('leaves signals to the tool', async () => {
  const { process: started, outcome } = await start(
    `process.once('SIGINT', () => { console.log('heard'); process.exit(130); });
     setInterval(() => {}, 1000);
     console.log('ready');`,
  );
  await once(started.stdout, 'data');
  started.kill('SIGINT');
  expect(await outcome).toEqual({ code: 130, signal: null, stdout: 'ready\nheard\n', stderr: '' });
});

it('shows where in the source a tool threw', async () => {
  const { code, stderr } = await (await start("const a: number = 1;\n\nthrow new Error('mine');\n")).outcome;
  expect(code).toBe(1);
  expect(stderr).toMatch(/tool-test\.ts:3:\d+\)?\n/);
});

it('says what is wrong with a source that cannot be bundled', async () => {
  const { code, stdout, stderr } = await (await start('const a = ;\n')).outcome;
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toMatch(
    /Unexpected ";"[\s\S]*tool-test\.ts:1:10:[\s\S]*\ntool: .*tool-test\.ts could not be bundled: Build failed/,
  );
});

it('says how it is used', async () => {
  const { code, stderr } = await child().outcome;
  expect({ code, stderr }).toEqual({ code: 2, stderr: 'tool: usage: node scripts/tool.mjs ENTRY.ts [arguments...]\n' });
});
