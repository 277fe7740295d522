import type { Argv, CommandModule } from 'yargs';
import { type Case, nearest, parameterHelp, stepText, type Variant, variantsHint, verbs } from '../cases/index.js';
import { type Requirement, registry } from '../contract/index.js';
import { formatMs, origins, wrap } from '../report/index.js';
import { allVariants, readCatalogue } from './catalogue.js';
import type { Context } from './io.js';
import { casesOption, withSettings } from './options.js';
import { UsageError } from './usage-error.js';

const WIDTH = 100;
const SEE = 'see `vhost-reconnect list` and `list --requirements`';

const build = (argv: Argv) =>
  casesOption(
    argv.positional('name', {
      type: 'string',
      demandOption: true,
      describe: 'Case id, variant id, or requirement (R8)',
    }),
  );

type ExplainArguments = ReturnType<ReturnType<typeof build>['parseSync']>;

/** `explain`: why a case exists and what it does, or what a requirement demands. */
export function explainCommand({ io, settings }: Context): CommandModule<object, ExplainArguments> {
  return {
    command: 'explain <name>',
    describe: 'Explain a case, a variant or a requirement',
    builder: (argv: Argv) => build(withSettings(argv, settings, 'cases')),
    handler: async ({ name, cases: dirs }) => {
      const cases = await readCatalogue(io, dirs);
      io.stdout.write(`${explain(name, cases).join('\n')}\n`);
    },
  };
}

function explain(name: string, cases: readonly Case[]): string[] {
  const requirement = registry.find(({ id }) => id.toLowerCase() === name.toLowerCase());
  if (requirement) return explainRequirement(requirement, cases);
  const variants = allVariants(cases);
  const exact = variants.find(({ id }) => id === name);
  const found = cases.find(({ id }) => id === (exact?.caseId ?? name));
  if (!found) {
    const near = nearest(name, [...cases.map(({ id }) => id), ...registry.map(({ id }) => id)]);
    const hint = variantsHint(name, variants) ?? (near.length > 0 ? `did you mean ${near.join(' or ')}?` : SEE);
    throw new UsageError('ERR_UNKNOWN_NAME', `there is no case, variant or requirement "${name}"`, hint);
  }
  const own = variants.filter(({ caseId }) => caseId === found.id);
  const shown = exact ?? own[0]!;
  return [
    ...head(found.id, found.title),
    ...paragraph(found.why),
    '',
    `level        ${found.level}`,
    ...found.references.map((reference, i) => `${i === 0 ? 'references   ' : '             '}${citation(reference)}`),
    `file         ${found.file}`,
    '',
    ...explainSteps(shown),
    ...(exact ? [] : ['', `variants (${own.length})`, ...own.map(({ id }) => `  ${id}`)]),
    '',
    `run it with: vhost-reconnect run ${exact ? `'${exact.id}'` : found.id}`,
  ];
}

function explainSteps(variant: Variant): string[] {
  const reconnect =
    variant.role === 'client' ? [`reconnect ${variant.reconnectMs > 0 ? formatMs(variant.reconnectMs) : 'never'}`] : [];
  const used = verbs.filter(({ name }) => variant.steps.some(({ verb }) => verb === name));
  return [
    `steps of ${variant.id}`,
    `  (${[`role ${variant.role}`, variant.machine, `driver ${variant.driver}`, `${variant.queuePairs} queue pair(s)`, ...reconnect].join(', ')})`,
    ...variant.steps.map((step, i) => `${String(i + 1).padStart(4)}  ${stepText(step, verbs)}`),
    '',
    ...used.flatMap((verb) => [
      ...hanging(`  ${verb.name}`, verb.help, 15),
      ...parameterHelp(verb).flatMap(({ name, help }) => hanging(`    ${name}`, help, 15)),
    ]),
  ];
}

function explainRequirement(requirement: Requirement, cases: readonly Case[]): string[] {
  const citing = cases.filter(({ references }) => references.includes(`contract:${requirement.id}`));
  return [
    ...head(requirement.id, requirement.title),
    ...paragraph(requirement.sentence),
    '',
    ...hanging('allowed', requirement.allowed, 13),
    `level        ${requirement.level} (${origins[requirement.label]})`,
    ...requirement.sources.map((source, i) => `${i === 0 ? 'sources      ' : '             '}${source}`),
    '',
    'It is judged in every run. Cases about it:',
    ...(citing.length > 0 ? citing.map(({ id }) => `  ${id}`) : ['  none']),
  ];
}

const head = (id: string, title: string) => [`${id}: ${title}`, ''];
const paragraph = (text: string) => wrap(text, WIDTH);

/** A label, and beside it a text that keeps its indent. */
const hanging = (label: string, text: string, indent: number) =>
  wrap(text, WIDTH - indent).map((line, i) => `${(i === 0 ? label : '').padEnd(indent)}${line}`);

/** A reference; one to the contract comes with the requirement's title. */
function citation(reference: string): string {
  const title = registry.find(({ id }) => `contract:${id}` === reference)?.title;
  return title === undefined ? reference : `${reference} ${title}`;
}
