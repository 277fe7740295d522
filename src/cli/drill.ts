import { rmSync, writeFileSync } from 'node:fs';
import { hostname, networkInterfaces } from 'node:os';
import { join, resolve } from 'node:path';
import type { Argv, CommandModule } from 'yargs';
import { registry } from '../contract/index.js';
import {
  CONTROL,
  ControlServer,
  commandOf,
  Drill,
  DrillError,
  isQuiet,
  judgeInThread,
  type Listen,
  libvirtXml,
  qemuArguments,
  storeRecord,
  Terminal,
} from '../drill/index.js';
import { DEFAULT_PROFILE, profiles } from '../peer/index.js';
import { accelChoices, findQemu, machineTypes, probe } from '../qemu/index.js';
import { describeEvent, HtmlReporter, paint, printable, renderSummary, wantsColour } from '../report/index.js';
import { allVariants, readCatalogue } from './catalogue.js';
import { demandGuest } from './guest.js';
import { type Context, EXIT, type Io } from './io.js';
import { casesOption, choice, outOption, qemuOption, text, withSettings } from './options.js';
import { isFileTrouble, makeOut, unwritable } from './out.js';
import { tester } from './package.js';
import { roles } from './settings.js';
import { UsageError } from './usage-error.js';

/** Besides everyday business, what would hide the rest in a log that has no filter. */
const DETAILS: ReadonlySet<string> = new Set(['wire.recv', 'wire.send', 'peer.dial-failed', 'socket.path']);
const LOOPBACK = /^(127(\.\d{1,3}){3}|::1|localhost)$/;
const MIB = 1 << 20;
/** As many as have a key of the terminal's. */
const MAX_PORTS = 9;

const build = (argv: Argv) =>
  outOption(qemuOption(casesOption(argv)))
    .option('role', { ...choice('role', roles), default: 'client' as const, describe: "Role of QEMU's chardev" })
    .option('socket', {
      string: true,
      requiresArg: true,
      default: [] as string[],
      defaultDescription: 'its own with --spawn',
      coerce: (given: unknown) => [given].flat().map(String),
      describe: 'vhost-user socket: QEMU’s (role server) or the peer’s (client); several are several ports',
    })
    .option('qmp', { ...text('qmp'), describe: 'A monitor socket of QEMU’s that nobody else uses' })
    .option('virsh', {
      ...text('virsh'),
      describe: 'Ask QEMU through libvirt: the domain’s name; LIBVIRT_DEFAULT_URI says where',
    })
    .option('pid', {
      number: true,
      requiresArg: true,
      describe: 'QEMU’s process, if its command line does not name the socket',
    })
    .option('profile', {
      ...choice('profile', Object.keys(profiles)),
      default: DEFAULT_PROFILE,
      describe: 'Recorded back-end that the peer acts as',
    })
    .option('dhcp', { boolean: true, default: false, describe: 'The switch lends addresses of 10.73.0.0/24' })
    .option('capture', {
      number: true,
      default: 64,
      requiresArg: true,
      describe: 'MiB of the packet capture of each port; 0 = none',
    })
    .option('replace', { boolean: true, default: false, describe: 'Take a path on which another switch listens' })
    .option('spawn', { boolean: true, default: false, describe: 'Start a QEMU for the drill, of --qemu' })
    .option('ports', {
      number: true,
      default: 1,
      requiresArg: true,
      describe: 'With --spawn: NICs, each a port of the switch; with --socket there are as many as sockets',
    })
    .option('guest', {
      string: true,
      describe:
        'With --spawn: boot a Linux that pings; a folder with vmlinuz, modules, busybox [what make guest fetched]',
    })
    .option('machine', {
      ...choice('machine', machineTypes),
      default: 'q35' as const,
      describe: 'With --spawn: machine type',
    })
    .option('accel', {
      ...choice('accel', accelChoices),
      default: 'auto' as const,
      describe: 'With --spawn: accelerator',
    })
    .option('listen', {
      ...text('listen'),
      default: '127.0.0.1:0',
      describe: 'Where page and control are served: HOST:PORT or unix:PATH; port 0 = any that is free',
    })
    .option('expose', { boolean: true, default: false, describe: 'Let --listen be more than this machine' })
    .option('tui', { boolean: true, default: false, describe: 'One screen of the terminal, with keys' })
    .option('plain', {
      boolean: true,
      default: false,
      describe: 'Verbs on stdin, one a line; events on stdout, JSON Lines',
    })
    .example('$0 drill --spawn --guest', 'a whole drill in one command')
    .example('$0 drill --spawn --guest --ports 2', 'the same with two NICs, each restarted for itself')
    .example('$0 drill --socket /run/vhu0.sock --qmp /run/qmp.sock', 'with a virtual machine of yours')
    .example('$0 drill --role server --socket /run/vhu0.sock --virsh vm1', 'the same through libvirt');

type DrillArguments = ReturnType<ReturnType<typeof build>['parseSync']>;

/** `drill`: the live mode. */
export function drillCommand({ io, settings, exit }: Context): CommandModule<object, DrillArguments> {
  return {
    command: 'drill',
    describe: 'Be the switch of a live virtual machine, and restart on command',
    builder: (argv: Argv) =>
      build(withSettings(argv, settings, 'qemu', 'cases', 'out')) as unknown as Argv<DrillArguments>,
    handler: async (argv) => exit(await execute(io, argv)),
  };
}

async function execute(io: Io, argv: DrillArguments): Promise<number> {
  if (!argv.spawn && argv.socket.length === 0)
    throw new UsageError('ERR_USAGE', 'a drill needs --socket, or --spawn', 'drill --spawn --guest shows a whole one');
  const ports = argv.socket.length || argv.ports;
  if (argv.spawn && !(Number.isInteger(ports) && ports >= 1 && ports <= MAX_PORTS))
    throw new UsageError('ERR_USAGE', `a spawned QEMU has 1 to ${MAX_PORTS} ports, not ${ports}`);
  if (argv.qmp !== undefined && argv.virsh !== undefined)
    throw new UsageError('ERR_USAGE', '--qmp and --virsh exclude each other', 'one of them asks QEMU');
  if (!Number.isFinite(argv.capture) || argv.capture < 0)
    throw new UsageError('ERR_USAGE', '--capture takes a size in MiB');
  if (argv.tui && (argv.plain || !io.tty))
    throw new UsageError('ERR_USAGE', '--tui needs a terminal, and goes without --plain', 'use --plain in scripts');
  const listen = listenOf(argv.listen, argv.expose);
  const sockets = argv.socket.map((path) => resolve(io.cwd, path));
  const cases = await readCatalogue(io, argv.cases);
  const spawn = argv.spawn ? await spawnOf(io, argv) : undefined;
  const out = makeOut(resolve(io.cwd, argv.out));
  let interrupted = () => {};
  const interrupt = new Promise<void>((done) => {
    interrupted = done;
  });
  let signals = 0;
  const quiet = io.onInterrupt(() => (++signals > 1 ? io.exitNow(130) : interrupted()));
  let drill: Drill;
  try {
    drill = await Drill.begin({
      role: argv.role,
      sockets,
      profile: profiles[argv.profile]!,
      out,
      ...(argv.qmp !== undefined && { monitor: { qmp: resolve(io.cwd, argv.qmp) } }),
      ...(argv.virsh !== undefined && { monitor: { virsh: argv.virsh } }),
      ...(argv.pid !== undefined && { pid: argv.pid }),
      ...(spawn && { spawn }),
      dhcp: argv.dhcp,
      captureBytes: argv.capture * MIB,
      replace: argv.replace,
      tester,
      command: 'vhost-reconnect drill',
      variant: (id) => {
        const found = allVariants(cases).find((variant) => variant.id === id);
        if (!found) throw new DrillError('ERR_PARAMETERS', `there is no variant ${id}`, 'list prints them');
        return found;
      },
      judge: judgeInThread,
    });
  } catch (error) {
    rmSync(out, { recursive: true, force: true });
    quiet();
    throw isFileTrouble(error, out) ? unwritable(out, error) : error;
  }
  let server: ControlServer | undefined;
  const control = join(out, CONTROL);
  try {
    // As it would be if the drill ended now; its end writes it anew.
    const report = async () => {
      await new HtmlReporter(registry, (file) => drill.judged(file)).onEnd(await drill.interim(), out);
      return join(out, 'report.html');
    };
    server = await ControlServer.begin({
      drill,
      listen,
      hosts: hostsOf(listen),
      tester: `${tester.name} ${tester.version}`,
      report,
    });
    writeFileSync(control, `${JSON.stringify({ address: server.address, token: server.token, pid: process.pid })}\n`, {
      mode: 0o600,
    });
    introduce(io, argv, drill, server, out);
    const watched = argv.tui ? () => {} : watch(io, drill, argv.plain);
    if (argv.tui) void new Terminal(io.tty!(), paint(wantsColour(io.stdout, io.env))).run(server).catch(() => {});
    if (argv.plain) obey(io, drill);
    await Promise.race([drill.ended, interrupt]);
    watched();
    io.stderr.write('the drill ends\n');
  } finally {
    const closing = server;
    await drill.stop();
    await closing?.close();
    rmSync(control, { force: true });
    quiet();
  }
  let code: number = EXIT.ok;
  let lost: DrillError | undefined;
  try {
    const result = await drill.finish();
    code = result.exitCode;
    const stream = argv.plain ? io.stderr : io.stdout;
    stream.write(renderSummary(result, out, registry, paint(false)));
    await storeRecord(result, out);
  } catch (error) {
    // What the disk has no room for is told; it is no reason to keep silent on what is known.
    if (!(error instanceof DrillError)) throw error;
    lost = error;
  }
  const incomplete = drill.incomplete ?? lost;
  io.stderr.write(`record: ${out}\n`);
  if (!incomplete) return code;
  const { message, hint } = incomplete;
  io.stderr.write(`INCOMPLETE  ${printable(message)}${hint ? ` (${hint})` : ''}\n`);
  return code === EXIT.ok ? EXIT.inconclusive : code;
}

/** @throws UsageError ERR_USAGE for what is no place to listen, or one that is open to others */
function listenOf(given: string, expose: boolean): Listen {
  if (given.startsWith('unix:') && given.length > 'unix:'.length) return { path: resolve(given.slice('unix:'.length)) };
  const [, host = '', port = ''] = /^\[?([^\]]*)\]?:(\d{1,5})$/.exec(given) ?? [];
  if (host === '' || Number(port) > 65535)
    throw new UsageError('ERR_USAGE', `--listen takes HOST:PORT or unix:PATH, not ${given}`, 'such as 127.0.0.1:8047');
  if (!LOOPBACK.test(host) && !expose)
    throw new UsageError('ERR_USAGE', `${host} is reached from other machines`, 'add --expose if that is meant');
  return { host, port: Number(port) };
}

/** The names of this machine, where it listens on all its addresses. */
function hostsOf(listen: Listen): string[] {
  if ('path' in listen || !/^(0\.0\.0\.0|::)$/.test(listen.host)) return [];
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return [
    hostname().toLowerCase(),
    ...addresses.map(({ address, family }) => (family === 'IPv6' ? `[${address}]` : address)),
  ];
}

async function spawnOf(io: Io, argv: DrillArguments) {
  const facts = await probe(await findQemu(argv.qemu));
  const { machine, accel } = argv;
  const guest = argv.guest === undefined ? undefined : demandGuest(io, argv.guest);
  return { facts, machine, accel, queuePairs: 1, reconnectMs: 1000, ports: argv.ports, ...(guest && { guest }) };
}

/** What to do now. */
function introduce(io: Io, argv: DrillArguments, drill: Drill, server: ControlServer, out: string): void {
  const lines = [
    `page:    ${server.url}`,
    `control: vhost-reconnect ctl --control ${join(out, CONTROL)} restart away=2s`,
    `record:  ${out}`,
    ...drill.unknown.map((sentence) => `note:    ${sentence}`),
  ];
  if (!argv.spawn)
    for (const [i, { socket, role, name }] of drill.ports.entries())
      lines.push(
        '',
        `${name}: a QEMU with role ${role} has`,
        ...qemuArguments(role, socket, i).map((line) => `  ${line}`),
        `${name}: a domain of libvirt has`,
        ...libvirtXml(role, socket, i).map((line) => `  ${line}`),
      );
  if (argv.expose)
    lines.push('', 'WARNING: who reaches this address and has the token may restart and change the machine.');
  io.stderr.write(`${lines.join('\n')}\n\n`);
}

/** Events as they come. @returns a function that ends it */
function watch(io: Io, drill: Drill, plain: boolean): () => void {
  return drill.listen(({ name }, event) => {
    if (plain) io.stdout.write(`${JSON.stringify({ port: name, ...event })}\n`);
    else if (!isQuiet(event) && !DETAILS.has(event.type))
      io.stderr.write(`${name} +${(event.t / 1000).toFixed(3)} s  ${describeEvent(event)}\n`);
  });
}

/** Verbs from stdin: `restart away=2s`, `note text=hello`. Its end is none of the drill's. */
function obey(io: Io, drill: Drill): void {
  io.onLine?.((line) => {
    const { verb, port, params } = commandOf(line);
    if (verb === '') return;
    drill.perform(verb, params, port).then(
      (result) =>
        io.stdout.write(`${JSON.stringify({ ok: true, verb, ...(result === undefined ? {} : { result }) })}\n`),
      (error: unknown) => {
        const { code, message, hint } = error as { code?: string; message: string; hint?: string };
        io.stdout.write(`${JSON.stringify({ ok: false, verb, error: { code, message, hint } })}\n`);
      },
    );
  });
}
