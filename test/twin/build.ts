import { createHash, randomUUID } from 'node:crypto';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '../..');

/** A heap that is as small as it can be, and cleared when the twin says so: a growing one would look like a leak. */
const SMALL_HEAP = '--expose-gc --max-semi-space-size=1 --max-lazy --no-opt';

/** Below node_modules, so that the bundle finds the packages it leaves outside. */
const cache = join(root, 'node_modules/.cache/twin');

/**
 * Bundles the twin into a program that is started like a QEMU binary. Safe to call from several processes at once: files
 * are named by their content and appear whole.
 * @returns the path of the executable
 */
export async function buildTwin(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(here, 'program/main.ts')],
    bundle: true,
    write: false,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    packages: 'external',
    logLevel: 'silent',
  });
  const source = outputFiles[0]!.text;
  const digest = createHash('sha256').update(source).digest('hex').slice(0, 16);
  const bundle = join(cache, `twin-${digest}.mjs`);
  const program = join(cache, `qemu-twin-${digest}`);
  await mkdir(cache, { recursive: true });
  await writeWhole(bundle, source, 0o644);
  await writeWhole(program, `#!/bin/sh\nexec '${process.execPath}' ${SMALL_HEAP} '${bundle}' "$@"\n`, 0o755);
  return program;
}

async function writeWhole(path: string, content: string, mode: number): Promise<void> {
  const temporary = `${path}.${randomUUID()}`;
  await writeFile(temporary, content, { mode });
  await rename(temporary, path);
}
