import { resolve } from 'node:path';
import type { Argv, CommandModule } from 'yargs';
import { ControlClient, findControl, parametersOf, readControl, type ServerMessage } from '../drill/index.js';
import { type Context, EXIT, type Io } from './io.js';
import { outOption, text, withSettings } from './options.js';

const build = (argv: Argv) =>
  outOption(argv)
    .positional('verb', {
      type: 'string',
      demandOption: true,
      describe: 'What to do; watch prints events as they come',
    })
    .positional('parameter', {
      array: true,
      type: 'string',
      default: [] as string[],
      describe: 'Such as away=2s or port=p0; a value may be JSON',
    })
    .option('control', { ...text('control'), describe: 'Control file of the drill [of the one that runs in --out]' })
    .example('$0 ctl restart away=2s', 'the back-end is away for two seconds')
    .example('$0 ctl await ready', 'until handshake and rings are there again')
    .example('$0 ctl state', 'what everything is in, as JSON')
    .example('$0 ctl watch', 'events as they come, JSON Lines');

type CtlArguments = ReturnType<ReturnType<typeof build>['parseSync']>;

/** `ctl`: one verb for a drill that runs. */
export function ctlCommand({ io, settings, exit }: Context): CommandModule<object, CtlArguments> {
  return {
    command: 'ctl <verb> [parameter..]',
    describe: 'Tell a drill that runs what to do',
    builder: (argv: Argv) => build(withSettings(argv, settings, 'out')) as unknown as Argv<CtlArguments>,
    handler: async (argv) => exit(await execute(io, argv)),
  };
}

async function execute(io: Io, argv: CtlArguments): Promise<number> {
  const control = readControl(
    argv.control === undefined ? findControl(resolve(io.cwd, argv.out)) : resolve(io.cwd, argv.control),
  );
  if (argv.verb === 'watch') return watch(io, control);
  const client = await ControlClient.connect(control);
  try {
    const { port, params } = parametersOf(argv.parameter);
    const result = await client.ask(argv.verb, params as never, port);
    if (result !== undefined) io.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
    return EXIT.ok;
  } finally {
    client.close();
  }
}

async function watch(io: Io, control: ReturnType<typeof readControl>): Promise<number> {
  const client = await ControlClient.connect(control, ({ events }: ServerMessage) => {
    for (const { port, event } of (events ?? []) as { port: string; event: object }[])
      io.stdout.write(`${JSON.stringify({ port, ...event })}\n`);
  });
  const quiet = io.onInterrupt(() => client.close());
  await client.closed;
  quiet();
  return EXIT.ok;
}
