import type { Argv, CommandModule } from 'yargs';
import { registry } from '../contract/index.js';
import { readCatalogue, selectVariants, wishOf } from './catalogue.js';
import type { Context, Io } from './io.js';
import { selectionOptions, withSettings } from './options.js';

const build = (argv: Argv) =>
  selectionOptions(argv, 'full')
    .option('variants', { boolean: true, describe: 'Every variant, by its id alone' })
    .option('requirements', { boolean: true, describe: 'The contract instead of the cases' })
    .conflicts('variants', 'requirements');

type ListArguments = ReturnType<ReturnType<typeof build>['parseSync']>;

/** `list`: cases with their number of variants, variants, or requirements; one a line. */
export function listCommand({ io, settings }: Context): CommandModule<object, ListArguments> {
  return {
    command: 'list [selector..]',
    describe: 'List cases, variants or requirements',
    builder: (argv: Argv) => build(withSettings(argv, settings, 'role', 'machine', 'cases')),
    handler: async (argv) => {
      io.stdout.write(`${(argv.requirements ? requirements() : await variants(io, argv)).join('\n')}\n`);
    },
  };
}

const requirements = () => columns(registry.map(({ id, level, title }) => [id, level, title]));

async function variants(io: Io, argv: ListArguments): Promise<string[]> {
  const cases = await readCatalogue(io, argv.cases);
  // A list shows all there is, unless less is asked for.
  const selected = selectVariants(cases, { ...wishOf(argv), selection: argv.selection ?? 'full' });
  if (argv.variants) return selected.map(({ id }) => id);
  const rows = cases
    .map(({ id, title }) => ({ id, title, n: selected.filter(({ caseId }) => caseId === id).length }))
    .filter(({ n }) => n > 0);
  return columns(rows.map(({ id, n, title }) => [id, String(n).padStart(3), title]));
}

/** Lines with aligned columns; the last one is not padded. */
function columns(rows: readonly string[][]): string[] {
  const widths = rows.reduce<number[]>((all, row) => row.map((cell, i) => Math.max(cell.length, all[i] ?? 0)), []);
  return rows.map((row) => row.map((cell, i) => (i < row.length - 1 ? cell.padEnd(widths[i]!) : cell)).join('  '));
}
