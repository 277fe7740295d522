// `make mutants`: builds the QEMU that has all the defects. See docs/mutation.md.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { CatalogueError } from '../../src/cases/error.js';
import { makeFolder } from '../../src/cli/out.js';
import { parseAnchors, pin } from './anchors.js';
import { build, unpackedSource, type Workshop, workshopDir } from './build.js';
import { cacheDir, lockFolder, readIfThere } from './cache.js';
import { diskFull, Interrupted, run, type Surroundings } from './commands.js';
import { builtinDefects, loadMutations, shown } from './defects.js';
import { Progress } from './progress.js';
import { installedSource } from './source.js';
import { readerOf } from './tree.js';
import { Trouble } from './trouble.js';

const HELP = `usage: main.ts [build | pin] [--defects DIR] [--jobs N]
  build   (default) builds the QEMU that has the defects, unless it is there, and prints its path
  pin     writes anchors.json for the source of the installed QEMU: for who writes defects
  --defects DIR   folder of the defects, with anchors.json beside it (default: those of the repository)
  --jobs N        compilers side by side (default: the number of CPUs)
VHOST_RECONNECT_CACHE=DIR names the folder for what is kept (default: ~/.cache/vhost-reconnect).
`;

const here = import.meta.dirname;
const tools = join(here, '../../scripts/install-build-deps.sh');
const EXIT_TROUBLE = 2;
const EXIT_INTERRUPTED = 130;

async function main(): Promise<number> {
  const options = parseOptions();
  if (!options) {
    process.stdout.write(HELP);
    return 0;
  }
  const { action, defects, jobs } = options;
  // Beside the folder, which holds defects only.
  const anchorsPath = join(defects, '../anchors.json');
  const anchorsFile = shown(anchorsPath);
  const mutations = await loadMutations(defects);
  const source = await installedSource();
  const workshop: Workshop = {
    dir: workshopDir(cacheDir(process.env, process.cwd()), source),
    signal: interruption(),
    progress: new Progress(process.stderr),
    jobs,
    provide: installTools,
  };
  if (action === 'pin') {
    const read = readerOf(await lockedSource(source, workshop));
    const anchors = await pin(mutations.additions, source.version, read);
    await writeFile(anchorsPath, `${JSON.stringify(anchors, null, 2)}\n`);
    process.stdout.write(`${anchorsFile}\n`);
    return 0;
  }
  const anchorsText = await readIfThere(anchorsPath);
  if (anchorsText === undefined)
    throw new Trouble(`there is no ${anchorsFile}`, 'node scripts/tool.mjs test/mutants/main.ts pin writes it');
  const anchors = parseAnchors(anchorsFile, anchorsText);
  const header = await readFile(join(here, 'defect.h'), 'utf8');
  process.stdout.write(`${await build({ source, mutations, anchors, header }, workshop)}\n`);
  return 0;
}

/** @throws Trouble */
function parseOptions() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { defects: { type: 'string' }, jobs: { type: 'string' }, help: { type: 'boolean' } },
    });
    const [action = 'build', ...others] = positionals;
    if (values.help) return undefined;
    if ((action !== 'build' && action !== 'pin') || others.length > 0)
      throw new Error(`no such action: ${positionals.join(' ')}`);
    const jobs = values.jobs === undefined ? undefined : Number(values.jobs);
    if (jobs !== undefined && !(Number.isInteger(jobs) && jobs > 0))
      throw new Error(`--jobs: expected a number above 0, got ${values.jobs}`);
    return { action, defects: values.defects ?? builtinDefects, jobs };
  } catch (error) {
    throw new Trouble((error as Error).message, 'see --help');
  }
}

async function lockedSource(source: Parameters<typeof unpackedSource>[0], workshop: Workshop): Promise<string> {
  const { dir, signal, progress } = workshop;
  makeFolder(dir);
  const lock = await lockFolder(dir, signal, () => progress.stage(`waiting for a build in ${dir}`));
  try {
    return await unpackedSource(source, workshop, { signal, lock: lock.fd, log: join(dir, 'source.log') });
  } finally {
    await lock.release();
  }
}

/** Compiler, build tools, libraries: installed with apt where that needs no question. */
async function installTools(surroundings: Surroundings): Promise<void> {
  const task = 'installing what the build needs';
  const ending = await run(
    { task, argv: ['sh', tools], cwd: '/', onLine: (line) => process.stderr.write(`${line}\n`) },
    surroundings,
  );
  if (ending.code !== 0) throw new Trouble('what the build needs is not there', 'the lines above say what to install');
}

/** The first interrupt ends what runs in order; the second ends this process, and what it started. */
function interruption(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(EXIT_INTERRUPTED);
      controller.abort();
    });
  return controller.signal;
}

/** The error as an operator is to read it; undefined when it is none of the machine's. */
function told(error: unknown): string | undefined {
  if (error instanceof Trouble) return error.hint ? `${error.message}\n  hint: ${error.hint}` : error.message;
  if (error instanceof CatalogueError) return error.message;
  if (!(error instanceof Error) || !('syscall' in error)) return undefined;
  const { code, message, path } = error as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT') return told(diskFull('writing the cache', message));
  if (!path?.startsWith(cacheDir(process.env, process.cwd()))) return message;
  return `${message}\n  hint: name another folder for the cache: VHOST_RECONNECT_CACHE=DIR`;
}

process.exitCode = await main().catch((error: unknown) => {
  if (error instanceof Interrupted) {
    process.stderr.write('mutants: interrupted; what is finished is kept\n');
    return EXIT_INTERRUPTED;
  }
  const text = told(error);
  if (text === undefined) throw error;
  process.stderr.write(`mutants: ${text}\n`);
  return EXIT_TROUBLE;
});
