/** A socket chardev as `-chardev socket,...` gives it. */
export interface ChardevOptions {
  id: string;
  path: string;
  server: boolean;
  /** 0 = never. */
  reconnectMs: number;
  /** What QEMU 7.2 does not take of it, with its words. */
  refused: readonly { option: string; why: string }[];
}

/** What the twin understands of a QEMU command line; everything else is tolerated and ignored. */
export interface Options {
  version: boolean;
  /** virtio-mmio slots of the machine: microvm has 24, and 8 without its second I/O APIC. */
  slots: number;
  /** Guest RAM in bytes. */
  memory: number;
  /** Socket paths that the twin dials. */
  qmp?: string;
  qtest?: string;
  /** Where it listens with a second monitor. */
  monitor?: string;
  chardev?: ChardevOptions;
  netdev?: { id: string; queuePairs: number };
  /** `mq=on` of the network device. */
  multiqueue: boolean;
  /** `host_mtu` of the network device; 0 = none. */
  mtu: number;
  /** `packed=on` of it. */
  packed: boolean;
}

/** Splits `a,b=c,,d` into its keyless head and its keys; a doubled comma stands for one (QEMU's qemu-option.c). */
function parseList(text: string): { head: string; keys: Map<string, string> } {
  const parts = text.split(/(?<!,),(?!,)/).map((part) => part.replaceAll(',,', ','));
  const keys = new Map<string, string>();
  for (const part of parts) {
    const at = part.indexOf('=');
    if (at > 0) keys.set(part.slice(0, at), part.slice(at + 1));
  }
  return { head: parts[0]!, keys };
}

const UNITS: Record<string, number> = { '': 2 ** 20, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

/** `64`, `64M`, `size=1G`: a number alone counts MiB (the -m option). */
function parseMemory(text: string): number {
  const match = /^(?:size=)?(\d+)([KMG]?)/i.exec(text);
  return match ? Number(match[1]) * UNITS[match[2]!.toUpperCase()]! : 128 * 2 ** 20;
}

/** The checks of chardev/char-socket.c, and of the parser before it. */
function refusals(keys: ReadonlyMap<string, string>): ChardevOptions['refused'] {
  const server = keys.get('server') === 'on';
  return [
    ...(keys.has('reconnect-ms') ? [{ option: 'reconnect-ms', why: "Invalid parameter 'reconnect-ms'" }] : []),
    ...(server && keys.has('reconnect')
      ? [{ option: 'reconnect', why: "'reconnect' option is incompatible with socket in server listen mode" }]
      : []),
    ...(!server && keys.has('wait')
      ? [{ option: 'wait', why: "'wait' option is incompatible with socket in client connect mode" }]
      : []),
  ];
}

/** `unix:PATH,server=off` */
const unixPath = (text: string): string => parseList(text).head.replace(/^unix:/, '');

/** Reads a QEMU command line, without argv[0]. */
export function parseOptions(args: readonly string[]): Options {
  const options: Options = {
    version: false,
    slots: 24,
    memory: 128 * 2 ** 20,
    multiqueue: false,
    mtu: 0,
    packed: false,
  };
  for (let i = 0; i < args.length; i++) {
    const flag = args[i]!.replace(/^--?/, '');
    const next = args[i + 1];
    const value = next !== undefined && !next.startsWith('-') ? args[++i]! : '';
    const { head, keys } = parseList(value);
    switch (flag) {
      case 'version':
        options.version = true;
        break;
      case 'machine':
        if (keys.get('ioapic2') === 'off') options.slots = 8;
        break;
      case 'm':
        options.memory = parseMemory(value);
        break;
      case 'qmp':
        if (keys.get('server') === 'on') options.monitor = unixPath(value);
        else options.qmp = unixPath(value);
        break;
      case 'qtest':
        options.qtest = unixPath(value);
        break;
      case 'chardev':
        if (head === 'socket')
          options.chardev = {
            id: keys.get('id') ?? '',
            path: keys.get('path') ?? '',
            server: keys.get('server') === 'on',
            reconnectMs: Number(keys.get('reconnect-ms') ?? 1000 * Number(keys.get('reconnect') ?? 0)),
            refused: refusals(keys),
          };
        break;
      case 'netdev':
        if (head === 'vhost-user')
          options.netdev = { id: keys.get('id') ?? '', queuePairs: Number(keys.get('queues') ?? 1) };
        break;
      case 'device':
        if (keys.get('mq') === 'on') options.multiqueue = true;
        options.mtu = Number(keys.get('host_mtu') ?? options.mtu);
        if (keys.get('packed') === 'on') options.packed = true;
        break;
    }
  }
  return options;
}
