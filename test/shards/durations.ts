import { writeFile } from 'node:fs/promises';
import { builtinCases, loadCatalogue, vocabulary } from '../../src/cases/index.js';
import { allVariants } from '../../src/cli/catalogue.js';
import { DURATIONS, readRun, StoredRunError } from '../../src/runner/index.js';

const HELP = `usage: durations RUN...

Writes cases/durations.json: by case, what a variant takes beside its waits, from runs on a quiet machine.

exit code: 0 written; 2 usage, or a run that cannot be read
`;

const median = (list: readonly number[]) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)]!;

async function main(paths: readonly string[]): Promise<number> {
  if (paths.length === 0 || paths.some((path) => path.startsWith('-'))) {
    process.stderr.write(HELP);
    return 2;
  }
  const waits = new Map(
    allVariants(await loadCatalogue([builtinCases], vocabulary)).map(({ id, minimumMs }) => [id, minimumMs]),
  );
  const rest = new Map<string, number[]>();
  for (const path of paths)
    for (const { variant, case: caseId, verdict, durationMs } of (await readRun(path)).result.variants) {
      const waiting = waits.get(variant);
      // What failed may have ended early; what was discovered is no variant of the catalogue.
      if (verdict !== 'pass' || waiting === undefined) continue;
      rest.set(caseId, [...(rest.get(caseId) ?? []), Math.max(0, durationMs - waiting)]);
    }
  const sorted = [...rest].sort(([a], [b]) => (a < b ? -1 : 1));
  const table = Object.fromEntries(sorted.map(([caseId, list]) => [caseId, Math.round(median(list))]));
  await writeFile(DURATIONS, `${JSON.stringify(table, null, 2)}\n`);
  return 0;
}

process.exitCode = await main(process.argv.slice(2)).catch((error: unknown) => {
  if (!(error instanceof StoredRunError)) throw error;
  process.stderr.write(`durations: ${error.message} (${error.hint})\n`);
  return 2;
});
