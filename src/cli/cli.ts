import yargs from 'yargs';
import { CatalogueError, SelectorError } from '../cases/index.js';
import { QemuError } from '../qemu/index.js';
import { doctorCommand } from './doctor.js';
import { explainCommand } from './explain.js';
import { type Context, EXIT, type Io } from './io.js';
import { listCommand } from './list.js';
import { logLevels } from './log.js';
import { withSettings } from './options.js';
import { tester } from './package.js';
import { runCommand } from './run.js';
import { configSettings, environmentSettings } from './settings.js';
import { UsageError } from './usage-error.js';

/**
 * The whole command line.
 * @param args without node and script
 * @returns the exit code: 0 all as expected, 1 unexpected failure, 2 usage or configuration, 3 QEMU crashed or hung,
 * 4 inconclusive results remain or the tester failed, 130 interrupted
 */
export async function main(args: readonly string[], io: Io): Promise<number> {
  let code: number = EXIT.ok;
  let said = '';
  const debug = args.some(
    (arg, i) => arg === '--log-level=debug' || (arg === '--log-level' && args[i + 1] === 'debug'),
  );
  try {
    const settings = { ...configSettings(io.cwd, configOption(args)), ...environmentSettings(io.env) };
    const exit = (exitCode: number) => {
      code = exitCode;
    };
    await parser({ io, settings, exit }).parseAsync(
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

function parser(context: Context) {
  const { io, settings } = context;
  return withSettings(yargs(), settings, 'log')
    .scriptName(tester.name)
    .usage('$0 <command>\n\nTests how QEMU takes it when its vhost-user back-end leaves and returns.')
    .command(runCommand(context))
    .command(listCommand(context))
    .command(explainCommand(context))
    .command(doctorCommand(context))
    .option('config', {
      string: true,
      requiresArg: true,
      global: true,
      describe: 'Configuration file [vhost-reconnect.config.json or .yaml]',
    })
    .option('log', {
      string: true,
      requiresArg: true,
      global: true,
      describe: "File for the tester's own log [stderr]",
    })
    .option('log-level', {
      choices: logLevels,
      global: true,
      describe: 'How much the log says; debug also shows stacks',
    })
    .demandCommand(1, 'a command is missing')
    .completion('completion', 'Print a completion script for the shell')
    .strict()
    .version(tester.version)
    .wrap(io.stdout.isTTY ? (io.stdout.columns ?? 80) : 100)
    .fail((message: string, error: Error | undefined) => {
      throw error ?? new UsageError('ERR_USAGE', message.replace(/\s*\n\s*/g, ' '), `see ${tester.name} --help`);
    });
}

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
    error instanceof CatalogueError;
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  const hint = known && 'hint' in error ? error.hint : undefined;
  io.stderr.write(
    known
      ? `${tester.name}: ${message}${hint ? ` (${hint})` : ''}\n`
      : `${tester.name}: a bug of the tester: ${message} (please report it; --log-level debug shows where)\n`,
  );
  if (debug) io.stderr.write(`${stack}\n`);
  return known ? EXIT.usage : EXIT.inconclusive;
}
