import { writeFile } from 'node:fs/promises';
import { builtinCases, loadCatalogue, vocabulary } from '../../src/cases/index.js';
import { allVariants } from '../../src/cli/catalogue.js';
import { DURATIONS, type Durations, readRun, StoredRunError } from '../../src/runner/index.js';
import type { Role } from '../../src/timeline/index.js';

const HELP = `usage: durations RUN...

Writes cases/durations.json: by case and role, what a variant takes beside its waits, from runs on a quiet machine.

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
  const rest = new Map<string, Record<Role, number[]>>();
  for (const path of paths)
    for (const { variant, case: caseId, role, verdict, durationMs } of (await readRun(path)).result.variants) {
      const waiting = waits.get(variant);
      // What failed may have ended early; what was discovered is no variant of the catalogue.
      if (verdict !== 'pass' || waiting === undefined) continue;
      const own = rest.get(caseId) ?? { server: [], client: [] };
      own[role].push(Math.max(0, durationMs - waiting));
      rest.set(caseId, own);
    }
  const sorted = [...rest].sort(([a], [b]) => (a < b ? -1 : 1));
  const table: Durations = {};
  for (const [caseId, roles] of sorted)
    table[caseId] = Object.fromEntries(
      Object.entries(roles).flatMap(([role, list]) => (list.length > 0 ? [[role, Math.round(median(list))]] : [])),
    );
  await writeFile(DURATIONS, `${JSON.stringify(table, null, 2)}\n`);
  return 0;
}

process.exitCode = await main(process.argv.slice(2)).catch((error: unknown) => {
  if (!(error instanceof StoredRunError)) throw error;
  process.stderr.write(`durations: ${error.message} (${error.hint})\n`);
  return 2;
});
