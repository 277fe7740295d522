import type { Json, Role } from '../timeline/index.js';
import type { RingLayout } from '../virtio/index.js';
import { type Accelerator, accelerators, atLeast, type NeededType, type QemuFacts } from './facts.js';
import { QemuError } from './qemu-error.js';

/** The chardev that carries a port's vhost-user, as QMP's query-chardev names it. */
export const chardevId = (port: number): string => `c${port}`;
/** The same of the first port, the only one unless said. */
export const CHARDEV_ID = chardevId(0);
const netdevId = (port: number): string => `n${port}`;
/** The vhost-user netdev behind the guest's first NIC. */
export const NETDEV_ID = netdevId(0);

/** The guest's NIC, where it can be removed. */
export const NIC_ID = 'nic';

/** The chardev of a guest's serial console. */
export const CONSOLE_ID = 'console';

/** What can be added to a machine that runs, after it was removed. */
export const pluggables = ['chardev', 'netdev', 'nic'] as const;
export type Pluggable = (typeof pluggables)[number];

/** The machine types that the guest driver can handle. */
export const machineTypes = ['q35', 'pc', 'microvm'] as const;
export type MachineType = (typeof machineTypes)[number];

/**
 * What a machine can have besides: a second monitor; and q35 and pc room for a DIMM and memory to make one of, a balloon, a
 * network device to remove.
 */
export const machineExtras = ['memory', 'balloon', 'removable', 'monitor'] as const;
export type MachineExtra = (typeof machineExtras)[number];

/** `auto`: TCG, or the qtest accelerator where a build has no TCG. */
export const accelChoices = ['auto', ...accelerators] as const;
export type AccelChoice = (typeof accelChoices)[number];

/** A guest operating system, in place of the driver over qtest. */
export interface GuestOptions {
  /** Files: a bzImage, and its initramfs. */
  kernel: string;
  initrd: string;
  /** The kernel's command line. */
  append: string;
  /** A socket of ours that QEMU dials at its start: the guest's serial console. */
  consolePath: string;
}

/** What a QEMU is started for. */
export interface CommandLineOptions {
  facts: QemuFacts;
  role: Role;
  machine: MachineType;
  accel: AccelChoice;
  queuePairs: number;
  /** Layout of the rings that the device offers. */
  ring: RingLayout;
  /** Guest RAM in bytes. */
  memory: number;
  /** MTU of the network device (host_mtu); it has none without. */
  mtu?: number;
  extras?: readonly MachineExtra[];
  /** Retry interval of a `client`; 0 = it never retries. A `server` has none: QEMU refuses the combination. */
  reconnectMs: number;
  /** vhost-user's socket: QEMU's own (server), or the peer's (client). */
  socketPath: string;
  /** The same of further ports: each has a chardev, a netdev and a NIC of its own, like the first. */
  morePaths?: readonly string[];
  /** Options of the chardev in place of those that the role asks for, or beside them; their names as they are. */
  chardev?: Readonly<Record<string, string>>;
  /** Sockets of ours that QEMU dials at its start. */
  qmpPath: string;
  /** Needed without a guest. */
  qtestPath?: string;
  /** Where QEMU listens with its second monitor; needed when it has one. */
  monitorPath?: string;
  /** A file with haltBios(); needed without a guest. */
  biosPath?: string;
  /** What the machine boots. */
  guest?: GuestOptions;
  /** Arguments put at the end as they are. */
  extra?: readonly string[];
}

/**
 * The second I/O APIC of microvm, where its devices would interrupt, has no name by which qtest could intercept it; without it
 * the first one serves them. It came in 6.0 (hw/i386/microvm.c).
 */
const ONE_IOAPIC = ',ioapic2=off';
const MIB = 1 << 20;
/** Of code translated by TCG; measured: smaller makes the boot slower, larger does not make it faster. */
const GUEST_CACHE_MIB = 32;
/**
 * A microvm has no timer by which Linux could measure how fast its time stamp counter runs. KVM tells; TCG hands out the
 * host's, unless it counts instructions: then it is 1 GHz. So many instructions pass for a second as a usual machine does.
 */
const COUNTED = 'shift=2';
const COUNTED_CLOCK = 'tsc=reliable tsc_early_khz=1000000';
/**
 * Without KVM the boot measures the counter, and on a busy machine wrongly: a guest's clock was seen to run at 4.6 times the
 * pace. The HPET has a frequency that is known.
 */
const TRANSLATED_CLOCK = 'tsc=unstable clocksource=hpet';
/** Of the memory that can become a DIMM, by the name of `more`. */
const MORE = '64M';
/** A slot that q35 and pc leave free, as those after it are, fixed so that a command line means the same device in every version. */
const PCI_SLOT = 4;

/**
 * The arguments (without argv[0]), fitted to the binary's version. The VM runs from the start (no `-S`): vhost needs it.
 * @throws QemuError ERR_QEMU_MACHINE, ERR_QEMU_ACCEL, ERR_QEMU_UNSUPPORTED when this binary cannot do what is asked
 */
export function commandLine(options: CommandLineOptions): string[] {
  const { facts, machine, guest, extras = [] } = options;
  const choice = machineTypes.filter((type) => facts.machines.has(type));
  if (!choice.includes(machine))
    throw new QemuError(
      'ERR_QEMU_MACHINE',
      `${facts.path} (${facts.version}) has no machine type ${machine} that the tester can drive`,
      `choose from: ${choice.join(', ') || 'none, it is a QEMU for another kind of machine'}`,
    );
  needs(facts, 'memory-backend-memfd');
  if (extras.includes('memory')) needs(facts, 'pc-dimm');
  if (extras.includes('balloon')) needs(facts, 'virtio-balloon-pci');
  if (!guest && !facts.qtest) throw unsupported(facts, 'the qtest server', 'use a QEMU built for a POSIX host');
  const memory = `${options.memory / MIB}M`;
  const ports = [options.socketPath, ...(options.morePaths ?? [])];
  return [
    '-nodefaults',
    '-no-user-config',
    ...['-display', 'none'],
    ...['-accel', accelOption(options)],
    ...['-machine', `${machine}${machine === 'microvm' && atLeast(facts, 6, 0) ? ONE_IOAPIC : ''},memory-backend=mem`],
    ...['-m', extras.includes('memory') ? `${memory},slots=2,maxmem=1G` : memory],
    ...['-object', `memory-backend-memfd,id=mem,size=${memory},share=on`],
    ...(extras.includes('memory') ? ['-object', `memory-backend-memfd,id=more,size=${MORE},share=on`] : []),
    ...(guest ? boot(guest, options) : ['-bios', given(options.biosPath, 'a BIOS')]),
    ...ports.flatMap((path, port) => ['-chardev', chardev(options, path, port)]),
    ...ports.flatMap((_, port) => ['-netdev', optionText(netdev(options, port))]),
    // virtio-mmio speaks its pre-1.0 form unless told otherwise, and takes no option of its own.
    ...(machine === 'microvm' ? ['-global', 'virtio-mmio.force-legacy=false'] : []),
    ...ports.flatMap((_, port) => ['-device', optionText(nic(options, port))]),
    ...(extras.includes('balloon') ? ['-device', 'virtio-balloon-pci'] : []),
    ...['-qmp', `unix:${quote(options.qmpPath)},server=off`],
    ...(extras.includes('monitor') ? ['-qmp', secondMonitor(options)] : []),
    ...(guest ? [] : qtest(given(options.qtestPath, 'qtest'))),
    ...(options.extra ?? []),
  ];
}

/**
 * The option that sets a client's retry interval on this binary, e.g. `reconnect=1`; none for 0: never, nor where one is given.
 * @throws QemuError ERR_QEMU_UNSUPPORTED when the binary counts in seconds and the interval is no whole number of them
 */
function reconnectOption(
  facts: QemuFacts,
  reconnectMs: number,
  given: Readonly<Record<string, string>>,
): Record<string, string> {
  if (reconnectMs === 0 || 'reconnect' in given || 'reconnect-ms' in given) return {};
  if (facts.reconnectOption === 'reconnect-ms') return { 'reconnect-ms': `${reconnectMs}` };
  if (reconnectMs % 1000 === 0) return { reconnect: `${reconnectMs / 1000}` };
  throw unsupported(
    facts,
    `a retry interval of ${reconnectMs} ms`,
    'it counts in whole seconds; reconnect-ms came with 9.2',
  );
}

/** A kernel that is started directly, with its serial console; a CPU for each pair of queues, or it would not use them. */
function boot({ kernel, initrd, append, consolePath }: GuestOptions, options: CommandLineOptions): string[] {
  const { queuePairs, machine } = options;
  const translated = accelerator(options) === 'tcg';
  const counted = machine === 'microvm' && translated;
  const clock = counted ? COUNTED_CLOCK : translated && TRANSLATED_CLOCK;
  return [
    ...['-kernel', kernel, '-initrd', initrd, '-append', clock ? `${append} ${clock}` : append],
    ...(counted ? ['-icount', COUNTED] : []),
    ...(queuePairs > 1 ? ['-smp', `${queuePairs}`] : []),
    // QEMU never waits for who reads it. A guest does when nobody reads for long: for each character, up to a limit of its own.
    ...['-chardev', `socket,id=${CONSOLE_ID},path=${quote(consolePath)},server=off`],
    ...['-serial', `chardev:${CONSOLE_ID}`],
  ];
}

function qtest(path: string): string[] {
  // Otherwise every qtest command is echoed on stderr.
  return ['-qtest', `unix:${quote(path)},server=off`, '-qtest-log', 'none'];
}

function accelOption(options: CommandLineOptions): string {
  const chosen = accelerator(options);
  // A guest that only halts needs no translation cache of hundreds of megabytes, and one that pings not the whole of them.
  return chosen === 'tcg' ? `tcg,tb-size=${options.guest ? GUEST_CACHE_MIB : 1}` : chosen;
}

function accelerator({ facts, accel: choice }: Pick<CommandLineOptions, 'facts' | 'accel'>): Accelerator {
  const wanted = accelerators.filter((name) => name === choice || (choice === 'auto' && name !== 'kvm'));
  const chosen = wanted.find((name) => facts.accelerators.has(name));
  if (chosen === undefined)
    throw new QemuError(
      'ERR_QEMU_ACCEL',
      `${facts.path} (${facts.version}) has no accelerator ${wanted.join(' or ') || choice}`,
      `it has ${[...facts.accelerators].join(', ') || 'none that the tester can use'}`,
    );
  return chosen;
}

function chardev(
  { facts, role, reconnectMs, chardev: given = {} }: CommandLineOptions,
  path: string,
  port: number,
): string {
  const usual = role === 'server' ? { server: 'on', wait: 'off' } : reconnectOption(facts, reconnectMs, given);
  const options = Object.entries({ id: chardevId(port), path, ...usual, ...given });
  return ['socket', ...options.map(([name, value]) => `${name}=${quote(value)}`)].join();
}

function secondMonitor({ monitorPath }: CommandLineOptions): string {
  return `unix:${quote(given(monitorPath, 'a second monitor'))},server=on,wait=off`;
}

/** A path that the options must have. */
function given(path: string | undefined, what: string): string {
  if (path === undefined) throw new TypeError(`${what} without a path`);
  return path;
}

function netdev({ queuePairs }: CommandLineOptions, port = 0): Options {
  return {
    type: 'vhost-user',
    id: netdevId(port),
    chardev: chardevId(port),
    ...(queuePairs > 1 ? { queues: queuePairs } : {}),
  };
}

function nic(options: CommandLineOptions, port = 0): Options {
  const { facts, machine, queuePairs, ring, mtu, extras = [] } = options;
  const type = machine === 'microvm' ? 'virtio-net-device' : 'virtio-net-pci';
  needs(facts, type);
  return {
    driver: type,
    netdev: netdevId(port),
    ...(port === 0 && extras.includes('removable') ? { id: NIC_ID } : {}),
    ...(queuePairs > 1 ? { mq: true } : {}),
    ...(ring === 'packed' ? { packed: true } : {}),
    ...(mtu === undefined ? {} : { host_mtu: mtu }),
    ...(machine === 'microvm' ? {} : pci(options, PCI_SLOT + port)),
  };
}

/** What a NIC on PCI has besides. */
function pci({ guest, accel }: CommandLineOptions, slot: number): Options {
  return {
    'disable-legacy': 'on',
    // The driver uses INTx. Without MSI-X, 5.2 and 7.2 are spared a crash of theirs under TCG when a guest sets it up.
    ...(guest && accel === 'kvm' ? {} : { vectors: 0 }),
    addr: slot.toString(16),
    // The firmware would load a network boot program before the guest.
    ...(guest ? { romfile: '' } : {}),
  };
}

/**
 * The QMP command that adds one of the things that the machine was started with, as it was: the chardev as its role asks for,
 * whatever other options it was given at the start.
 * @throws QemuError as commandLine()
 */
export function plugCommand(what: Pluggable, options: CommandLineOptions): { execute: string; arguments: Json } {
  if (what === 'netdev') return { execute: 'netdev_add', arguments: netdev(options) };
  if (what === 'nic') return { execute: 'device_add', arguments: nic(options) };
  const { facts, role, reconnectMs, socketPath } = options;
  const interval = Object.entries(reconnectOption(facts, reconnectMs, {})).map(([name, value]) => [
    name,
    Number(value),
  ]);
  const data = {
    addr: { type: 'unix', data: { path: socketPath } },
    ...(role === 'server' ? { server: true, wait: false } : { server: false, ...Object.fromEntries(interval) }),
  };
  return { execute: 'chardev-add', arguments: { id: CHARDEV_ID, backend: { type: 'socket', data } } };
}

/** Names and values of an option of QEMU's, or of the arguments of a QMP command. */
type Options = Record<string, string | number | boolean>;

/** An option as a command line has it: the first value alone, then names and values. */
function optionText(options: Options): string {
  const [[, first] = [], ...rest] = Object.entries(options);
  return [first, ...rest.map(([name, value]) => `${name}=${value === true ? 'on' : value}`)].join();
}

function needs(facts: QemuFacts, type: NeededType): void {
  if (!facts.types.has(type)) throw unsupported(facts, type, 'use a build that has it');
}

function unsupported(facts: QemuFacts, what: string, hint: string): QemuError {
  return new QemuError('ERR_QEMU_UNSUPPORTED', `${facts.path} (${facts.version}) does not support ${what}`, hint);
}

/** A comma ends a value in QEMU's option syntax, unless doubled. */
function quote(path: string): string {
  return path.replaceAll(',', ',,');
}
