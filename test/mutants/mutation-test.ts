// `make mutation-test`: the suite against every defect of the defective QEMU. See docs/mutation.md.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CatalogueError } from '../../src/cases/error.js';
import { count, formatMs } from '../../src/report/format.js';
import { campaign } from './campaign.js';
import { loadDefects } from './defects.js';
import { demand, demandDefects, HELP, parseOptions, selectDefects } from './options.js';
import { writeReport } from './report.js';
import { catchingVariants, type DefectResult } from './score.js';
import { Trouble } from './trouble.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const tester = join(root, 'dist/cli/main.js');

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2), process.cwd());
  if (!options) {
    process.stdout.write(HELP);
    return 0;
  }
  const { qemu, selection, failFast, jobs, keepTimelines, selectors } = options;
  const defects = selectDefects(await loadDefects(), selectors);
  await demand(qemu, 'execute', 'make mutants builds it');
  await demand(tester, 'read', 'make build compiles it');
  await demandDefects(qemu, defects);
  const started = new Date();
  const out = join(options.out, `mutation-${started.toISOString().slice(0, 19).replaceAll(':', '-')}`);
  await mkdir(out, { recursive: true });
  const signal = interruption();
  say(`${count(defects.length, 'defect')} of ${qemu}, reports in ${out}`);
  const suite = [process.execPath, tester];
  const onResult = (result: DefectResult, done: number) => say(`${done}/${defects.length}  ${told(result)}`);
  const came = await campaign({
    suite,
    qemu,
    defects,
    selection,
    failFast,
    jobs,
    out,
    keepTimelines,
    signal,
    onResult,
  });
  const { report, table } = await writeReport(out, {
    startedAt: started.toISOString(),
    durationMs: Date.now() - started.getTime(),
    ...(came && { qemu: came.qemu }),
    selectors,
    selection,
    failFast,
    jobs,
    unfit: came?.unfit ?? [],
    wanted: defects.length,
    defects: came?.results ?? [],
    interrupted: signal.aborted,
  });
  process.stdout.write(table);
  return report.exitCode;
}

/** The first interrupt ends the runs in order; the second ends this process, and the runs with it. */
function interruption(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(130);
      say('interrupted: ending the runs; once more to stop at once');
      controller.abort();
    });
  return controller.signal;
}

function told(result: DefectResult): string {
  const took = `${formatMs(result.durationMs)}${result.runs > 1 ? ' (run again, alone)' : ''}`;
  const doubt = result.inconclusive.length > 0 ? `, ${result.inconclusive.length} inconclusive` : '';
  if (!result.first) return `missed         ${result.id}${doubt}, ${took}`;
  const { first } = result;
  const requirements = count(Object.keys(result.caughtBy).length, 'requirement');
  const by = `${requirements} in ${count(catchingVariants(result).size, 'variant')}`;
  return `${result.kind!.padEnd(13)}  ${result.id}: ${by}, first ${first.requirement} in ${first.variant}${doubt}, ${took}`;
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** What the machine can be blamed for; anything else is a bug, and node shows where. */
function isTrouble(error: unknown): error is Error & { hint?: string } {
  return error instanceof Trouble || error instanceof CatalogueError || (error instanceof Error && 'syscall' in error);
}

process.exitCode = await main().catch((error: unknown) => {
  if (!isTrouble(error)) throw error;
  say(`mutation-test: ${error.message}${error.hint ? ` (${error.hint})` : ''}`);
  return 2;
});
