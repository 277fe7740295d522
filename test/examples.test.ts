import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));
let cwd: string;
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'examples-'));
});
afterEach(() => rmSync(cwd, { recursive: true, force: true }));

const example = (name: string) =>
  promisify(execFile)(process.execPath, [join(root, 'scripts/tool.mjs'), join(root, 'examples', `${name}.ts`)], {
    cwd,
    // It would put the example's temporary files where nothing else does.
    env: { ...process.env, TMPDIR: cwd },
  });

it('own-case: a case in TypeScript runs beside those of the catalogue', async () => {
  const { stdout } = await example('own-case');
  expect(stdout).toMatch(/\n8 of 8 pass\n$/);
  expect(readdirSync(cwd)).toEqual(['reports']);
});

it("own-peer: the peer comes and goes in somebody else's test, and leaves nothing", async () => {
  const { stdout } = await example('own-peer');
  const lines = stdout.trim().split('\n');
  const at = (pattern: RegExp) => lines.findIndex((line) => pattern.test(line));
  expect(at(/^session 1 ends by peer/)).toBeGreaterThan(at(/^session 1 opens by accept/));
  expect(at(/^QEMU is back/)).toBeGreaterThan(at(/^session 1 ends by peer/));
  expect(readdirSync(cwd)).toEqual([]);
});
