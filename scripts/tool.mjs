// Runs a tool of this repository that is written in TypeScript: node scripts/tool.mjs ENTRY.ts [arguments...]
// The tool runs in this very process, so that signals, exit code, stdin and stdout are its own.
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import process from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';

const EXIT_USAGE = 2;
/** Below node_modules, so that a bundle finds the packages it leaves outside. */
const cache = fileURLToPath(new URL('../node_modules/.cache/tools', import.meta.url));

const self = fileURLToPath(new URL('../src/index.ts', import.meta.url));

/** In a bundle `import.meta` would speak of the bundle; a tool means its own source file, beside which its data lies. */
const sourceMeta = {
  name: 'source-meta',
  setup(build) {
    build.onLoad({ filter: /\.ts$/ }, async ({ path }) => {
      const meta = { url: pathToFileURL(path).href, dirname: dirname(path), filename: path };
      const source = await readFile(path, 'utf8');
      const contents = source.replace(/\bimport\.meta\.(url|dirname|filename)\b/g, (_, key) =>
        JSON.stringify(meta[key]),
      );
      return { contents, loader: 'ts' };
    });
  },
};

/** Bundles the entry, packages left outside. The file is named by its content and appears whole: many may do this at once. */
async function bundle(entry) {
  const { build, stop } = await import('esbuild');
  try {
    const { outputFiles } = await build({
      entryPoints: [entry],
      bundle: true,
      write: false,
      // Nothing is written there: it is what the paths of the source map are relative to.
      outfile: join(cache, 'tool.mjs'),
      platform: 'node',
      format: 'esm',
      target: 'node20',
      packages: 'external',
      // Examples say what a user's program says.
      alias: { 'vhost-reconnect': self },
      sourcemap: 'inline',
      plugins: [sourceMeta],
    });
    const code = outputFiles[0].text;
    const digest = createHash('sha256').update(code).digest('hex').slice(0, 16);
    const path = join(cache, `${basename(entry, '.ts')}-${digest}.mjs`);
    const temporary = `${path}.${randomUUID()}`;
    await mkdir(cache, { recursive: true });
    await writeFile(temporary, code);
    await rename(temporary, path);
    return path;
  } finally {
    // esbuild's own child, or it would get the tool's signals too.
    await stop();
  }
}

async function prepare(entry) {
  if (entry === undefined) throw new Error('usage: node scripts/tool.mjs ENTRY.ts [arguments...]');
  try {
    return await bundle(resolve(entry));
  } catch (error) {
    if (error.code === 'ERR_MODULE_NOT_FOUND') throw new Error('npm packages are missing: run `make setup`');
    // What is wrong with the source was printed by esbuild.
    throw new Error(`${entry} could not be bundled: ${error.message.split(/:?\n/)[0]}`);
  }
}

const [node, , entry, ...args] = process.argv;
const path = await prepare(entry).catch((error) => {
  process.exitCode = EXIT_USAGE;
  process.stderr.write(`tool: ${error.message}\n`);
});
if (path !== undefined) {
  process.argv = [node, path, ...args];
  process.setSourceMapsEnabled(true);
  // What the tool throws is its own affair: node prints it with the lines of the source.
  await import(pathToFileURL(path).href);
}
