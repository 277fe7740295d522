import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeFolder } from '../../src/cli/out.js';
import { countsOf } from '../../src/report/summary.js';
import { cacheDir, lockFolder } from '../mutants/cache.js';
import { Interrupted } from '../mutants/commands.js';
import { demand } from '../mutants/options.js';
import { runSuite } from '../mutants/suite-run.js';
import { Trouble } from '../mutants/trouble.js';
import { hostMirror } from './apt.js';
import type { Column } from './explanation.js';
import { HELP, parseOptions } from './options.js';
import type { Unpacked } from './releases.js';
import { matrixOf, writeMatrix } from './report.js';
import { unpackQemu } from './unpack.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const tester = join(root, 'dist/cli/main.js');

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2), process.cwd());
  if (!options) {
    process.stdout.write(HELP);
    return 0;
  }
  await demand(tester, 'read', 'make build compiles it');
  const signal = interruption();
  const cache = join(cacheDir(process.env, process.cwd()), 'versions');
  makeFolder(cache);
  // Held to the end: nobody else takes the QEMUs away while they run.
  const lock = await lockFolder(cache, signal, () => say('another matrix is being made: waiting for it to end'));
  const mirror = options.mirrors.size < options.releases.length ? await hostMirror() : '';
  const unpacked: Unpacked[] = [];
  for (const release of options.releases)
    unpacked.push(
      await unpackQemu(release, {
        dir: join(cache, release.suite),
        mirror: options.mirrors.get(release.suite) ?? mirror,
        surroundings: { signal, log: join(cache, 'log'), lock: lock.fd },
        say,
      }),
    );
  const started = new Date();
  const out = join(options.out, `matrix-${started.toISOString().slice(0, 19).replaceAll(':', '-')}`);
  const columns: Column[] = [];
  for (const one of unpacked) {
    say(`running the suite on QEMU ${one.version} of ${one.name}`);
    const suite = [process.execPath, tester];
    const { selection, jobs } = options;
    const dir = join(out, one.suite);
    const result = await runSuite({ suite, selection, qemu: one.qemu, jobs, dir, signal });
    if (!result) throw new Interrupted();
    if (!result.expectations) say(`there is no expectation file for ${result.qemu.versionText}: every failure counts`);
    say(`  ${countsOf(result)}`);
    columns.push({ ...one, reports: one.suite, result });
  }
  const matrix = matrixOf(started, columns);
  process.stdout.write(await writeMatrix(out, matrix));
  say(`written to ${out}`);
  await lock.release();
  return matrix.exitCode;
}

/** The first interrupt ends what runs in order; the second ends this process, and what runs with it. */
function interruption(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(130);
      say('interrupted: stopping; once more to stop at once');
      controller.abort();
    });
  return controller.signal;
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** What the machine can be blamed for; anything else is a bug, and node shows where. */
function isTrouble(error: unknown): error is Error & { hint?: string } {
  return error instanceof Trouble || (error instanceof Error && 'syscall' in error);
}

process.exitCode = await main().catch((error: unknown) => {
  if (error instanceof Interrupted) return 130;
  if (!isTrouble(error)) throw error;
  say(`matrix: ${error.message}${error.hint ? ` (${error.hint})` : ''}`);
  return 2;
});
