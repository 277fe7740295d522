import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { registry } from '../../src/contract/index.js';
import type { RunResult } from '../../src/runner/index.js';
import type { MutationReport } from '../mutants/report.js';
import { measuredFile, readMaterial } from './material.js';
import { gaps, type Measured, page } from './page.js';

const HELP = `usage: coverage [--run RESULTS --mutation RESULTS]

Writes docs/coverage.md: which case exercises which requirement and defect on record.

  --run RESULTS       results.json of a run of the suite whose figures the page takes over
  --mutation RESULTS  results.json of a mutation test, likewise
  --help              this text

exit code: 0 written; 1 the page has gaps, which are named; 2 usage, or a file that cannot be read
`;

/** What the page says of a run and a mutation test. */
function measure(run: RunResult, mutation: MutationReport): Measured {
  const ran = run.variants.filter(({ verdict }) => verdict !== 'skip');
  return {
    run: { qemu: run.qemu.version, selection: run.selection.selection, variants: ran.length },
    mutation: {
      qemu: mutation.qemu?.version ?? run.qemu.version,
      selection: mutation.failFast ? `${mutation.selection}, first failure only` : mutation.selection,
      ...mutation.score,
    },
    requirements: Object.fromEntries(
      registry.map(({ id }) => {
        const applied = ran.filter(({ requirements }) =>
          requirements.some(
            ({ requirement, judgement }) => requirement === id && judgement.outcome !== 'not-applicable',
          ),
        );
        const caught = mutation.requirements.find(({ requirement }) => requirement === id)?.caught ?? [];
        return [id, { judgedIn: [...new Set(applied.map((one) => one.case))].sort(), caught: [...caught].sort() }];
      }),
    ),
  };
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { run: { type: 'string' }, mutation: { type: 'string' }, help: { type: 'boolean', default: false } },
  });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  if ((values.run === undefined) !== (values.mutation === undefined))
    throw new Error('--run and --mutation belong together');
  if (values.run !== undefined && values.mutation !== undefined) {
    const [run, mutation] = await Promise.all(
      [values.run, values.mutation].map(async (path) => JSON.parse(await readFile(path, 'utf8'))),
    );
    await writeFile(
      measuredFile,
      `${JSON.stringify(measure(run as RunResult, mutation as MutationReport), null, 2)}\n`,
    );
  }
  const material = await readMaterial();
  const path = join(import.meta.dirname, '../../docs/coverage.md');
  await writeFile(path, page(material));
  process.stderr.write(`written: docs/coverage.md\n`);
  const missing = gaps(material);
  for (const gap of missing) process.stderr.write(`coverage: ${gap}\n`);
  return missing.length > 0 ? 1 : 0;
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    process.stderr.write(`coverage: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 2;
  },
);
