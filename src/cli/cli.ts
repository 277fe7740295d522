import yargs from 'yargs';
import { CatalogueError, SelectorError } from '../cases/index.js';
import { DrillError } from '../drill/index.js';
import { GuestError } from '../guest/index.js';
import { QemuError } from '../qemu/index.js';
import { BundleError, printable } from '../report/index.js';
import { RunOptionError, StoredRunError } from '../runner/index.js';
import { bundleCommand, verifyCommand } from './bundle.js';
import { compareCommand } from './compare.js';
import { ctlCommand } from './ctl.js';
import { doctorCommand } from './doctor.js';
import { drillCommand } from './drill.js';
import { explainCommand } from './explain.js';
import { type Context, EXIT, type Io } from './io.js';
import { judgeCommand } from './judge.js';
import { listCommand } from './list.js';
import { logLevels } from './log.js';
import { mergeCommand } from './merge.js';
import { choice, text, withSettings } from './options.js';
import { tester } from './package.js';
import { runCommand } from './run.js';
import { configSettings, environmentSettings } from './settings.js';
import { showCommand } from './show.js';
import { UsageError } from './usage-error.js';
import { type Known, usageError } from './wording.js';

/**
 * The whole command line.
 * @param args without node and script
 * @returns the exit code: 0 all as expected, 1 unexpected failure or stale expectation, 2 usage or configuration, 3 QEMU
 * crashed or hung unexpectedly, 4 inconclusive results remain or the tester failed, 130 interrupted
 */
export async function main(args: readonly string[], io: Io): Promise<number> {
  let code: number = EXIT.ok;
  let said = '';
  const debug = args.some(
    (arg, i) => arg === '--log-level=debug' || (arg === '--log-level' && args[i + 1] === 'debug'),
  );
  try {
    // Who asks for help is not to be told of a broken configuration.
    const asked = args.some((arg) => arg === '--help' || arg === '--version');
    const settings = asked ? {} : { ...configSettings(io.cwd, configOption(args)), ...environmentSettings(io.env) };
    const exit = (exitCode: number) => {
      code = exitCode;
    };
    await parser(args, { io, settings, exit }).parseAsync(
      [...args],
      {},
      (_error: unknown, _argv: unknown, output: string) => {
        said = output;
      },
    );
    if (said) io.stdout.write(`${said}\n`);
    return code;
  } catch (error) {
    return complain(error, io, debug);
  }
}

/** @param args to name in messages an option as it was typed; yargs speaks English because its messages are reworded */
function parser(args: readonly string[], context: Context) {
  const { io, settings } = context;
  return withSettings(yargs(), settings, 'log')
    .scriptName(tester.name)
    .usage('$0 <command>\n\nTests how QEMU takes it when its vhost-user back-end leaves and returns.')
    .command(runCommand(context))
    .command(listCommand(context))
    .command(explainCommand(context))
    .command(showCommand(context))
    .command(compareCommand(context))
    .command(judgeCommand(context))
    .command(mergeCommand(context))
    .command(bundleCommand(context))
    .command(verifyCommand(context))
    .command(drillCommand(context))
    .command(ctlCommand(context))
    .command(doctorCommand(context))
    .option('config', {
      ...text('config'),
      global: true,
      describe: 'Configuration file [vhost-reconnect.config.json or .yaml]',
    })
    .option('log', {
      ...text('log'),
      global: true,
      describe: "File for the tester's own log [stderr]",
    })
    .option('log-level', {
      ...choice('log-level', logLevels),
      global: true,
      describe: 'How much the log says; debug also shows stacks',
    })
    .demandCommand(1, 'a command is missing')
    .completion('completion', 'Print a completion script for the shell')
    .strict()
    .check(({ _: [, extra] }) => {
      if (extra === undefined) return true;
      throw new UsageError('ERR_USAGE', `${extra} is one argument too many`, 'selectors do not come after --');
    })
    .locale('en')
    .version(tester.version)
    .wrap((io.stdout.isTTY && io.stdout.columns) || 100)
    .epilogue(
      'Options may also stand in the configuration file, or in the environment as VHOST_RECONNECT_QEMU and so on.\n' +
        'Exit codes: 0 all as expected, 1 an unexpected failure or a stale expectation, 2 usage or configuration, ' +
        '3 QEMU crashed or hung unexpectedly, 4 inconclusive, 130 interrupted.',
    )
    .fail((message, error, usage) => {
      if (error && error.name !== 'YError') throw error;
      throw usageError(message, args, knownTo(usage as unknown as Usage));
    });
}

/** What yargs gives to the function of `fail`, whatever its types say. */
interface Usage {
  getDescriptions(): Record<string, unknown>;
  getCommands(): [string, ...unknown[]][];
}

const knownTo = (usage: Usage): Known => ({
  options: Object.keys(usage.getDescriptions()),
  commands: usage.getCommands().map(([command]) => command.split(' ')[0]!),
});

/** The value of --config, before the real parse, which needs the file's content. */
function configOption(args: readonly string[]): string | undefined {
  const i = args.findIndex((arg) => arg === '--config' || arg.startsWith('--config='));
  return i < 0 ? undefined : args[i]!.startsWith('--config=') ? args[i]!.slice('--config='.length) : args[i + 1];
}

/** One line with a hint, and the stack only when debugging. */
function complain(error: unknown, io: Io, debug: boolean): number {
  const known =
    error instanceof UsageError ||
    error instanceof SelectorError ||
    error instanceof QemuError ||
    error instanceof CatalogueError ||
    error instanceof StoredRunError ||
    error instanceof RunOptionError ||
    error instanceof BundleError ||
    error instanceof DrillError ||
    error instanceof GuestError;
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  const hint = known && 'hint' in error ? error.hint : undefined;
  io.stderr.write(
    known
      ? `${tester.name}: ${printable(message)}${hint ? ` (${printable(hint)})` : ''}\n`
      : `${tester.name}: a bug of the tester: ${message} (please report it; --log-level debug shows where)\n`,
  );
  if (debug) io.stderr.write(`${stack}\n`);
  return known ? EXIT.usage : EXIT.inconclusive;
}
