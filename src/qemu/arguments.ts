import { readdirSync, readFileSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import type { Ms, Role } from '../timeline/index.js';

/** What a QEMU's command line says of the vhost-user netdev behind a socket. */
export interface SocketArguments {
  /** As QMP's query-chardev names it. */
  chardev: string;
  role: Role;
  /** 0 = it never dials again. */
  reconnectMs: Ms;
  /** undefined: no netdev on it is on the command line. */
  netdev?: { id: string; queuePairs: number };
  machine?: string;
  /** Guest RAM in bytes at the start. */
  memory?: number;
}

/**
 * Reads a QEMU's command line, in its two notations: `socket,id=c0,path=P` and JSON.
 * @param argv with the program first
 * @returns undefined when no chardev has that path
 */
export function socketArguments(argv: readonly string[], path: string): SocketArguments | undefined {
  const all = (option: string) =>
    argv.flatMap((word, i) => ([`-${option}`, `--${option}`].includes(argv[i - 1] ?? '') ? [optionValues(word)] : []));
  const chardev = all('chardev').find((values) => values.path === path && values.id !== undefined);
  if (chardev === undefined) return undefined;
  const isServer = chardev.server !== undefined && !['off', 'no', 'false', 'n'].includes(chardev.server);
  const seconds = Number(chardev.reconnect ?? 0);
  const netdev = all('netdev').find((values) => values.chardev === chardev.id && values.id !== undefined);
  // Given more than once they add up: `-machine q35 -machine accel=kvm`.
  const machine = merged([...all('machine'), ...all('M')]);
  const machineName = machine.type ?? machine[''];
  const memory = bytesOf(merged(all('m')));
  return {
    chardev: chardev.id!,
    role: isServer ? 'server' : 'client',
    reconnectMs: isServer ? 0 : Number(chardev['reconnect-ms'] ?? 1000 * seconds) || 0,
    ...(netdev && { netdev: { id: netdev.id!, queuePairs: Number(netdev.queues ?? 1) || 1 } }),
    ...(machineName && { machine: machineName }),
    ...(memory && { memory }),
  };
}

const merged = (all: readonly Record<string, string | undefined>[]): Record<string, string | undefined> =>
  Object.assign({}, ...all);

/** Names and values of an option; the first value without a name is ''. Nested JSON is flattened to the innermost names. */
function optionValues(text: string): Record<string, string | undefined> {
  if (text.startsWith('{')) {
    try {
      return flat(JSON.parse(text) as object);
    } catch {
      return {};
    }
  }
  // A doubled comma is one that belongs to the value.
  const words = text.replaceAll(',,', '\0').split(',');
  const pairs = words.map((word, i): [string, string] => {
    const [name, value] = split(word.replaceAll('\0', ','), '=');
    // A flag without a value is on (`server`); `noserver` is the same as none, and `nowait` is of no interest.
    return value !== undefined ? [name, value] : i === 0 ? ['', name] : [name, 'on'];
  });
  return Object.fromEntries(pairs);
}

function flat(value: object): Record<string, string> {
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, inner]): [string, string][] => {
      if (inner !== null && typeof inner === 'object') return Object.entries(flat(inner as object));
      return [[name, typeof inner === 'boolean' ? (inner ? 'on' : 'off') : String(inner)]];
    }),
  );
}

function split(text: string, at: string): [string, string | undefined] {
  const i = text.indexOf(at);
  return i < 0 ? [text, undefined] : [text.slice(0, i), text.slice(i + 1)];
}

const UNITS: Readonly<Record<string, number>> = { k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

/** `-m 512`, `-m 2G`, `-m size=2G,slots=2`: mebibytes unless a unit is given. */
function bytesOf(values: Record<string, string | undefined>): number | undefined {
  const [, number, unit = 'm'] = /^(\d+(?:\.\d+)?)([kmgt]?)/i.exec(values.size ?? values[''] ?? '') ?? [];
  return number === undefined ? undefined : Number(number) * UNITS[unit.toLowerCase() || 'm']!;
}

/** A process that looks like a QEMU. */
export interface FoundQemu {
  pid: number;
  argv: string[];
}

/** A process by its number, if it looks like a QEMU; undefined when not, or when it is not ours to look at. */
export function qemuProcess(pid: number): FoundQemu | undefined {
  const argv = cmdline(pid);
  return argv?.[0] !== undefined && /qemu|kvm/.test(basename(argv[0])) ? { pid, argv } : undefined;
}

/** undefined when it is gone, or not ours to look at. */
function cmdline(pid: number): string[] | undefined {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1);
  } catch {
    return undefined;
  }
}

/** The QEMUs of this machine that have a chardev with that path on their command line. */
export function qemusWith(path: string): FoundQemu[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => qemuProcess(Number(name)) ?? [])
    .filter(({ argv }) => socketArguments(argv, path) !== undefined);
}

/**
 * When a process started, in clock ticks since the boot (field 22 of proc_pid_stat(5)): with its number it names a process for
 * good. undefined when it is gone, or a zombie.
 */
export function startTime(pid: number): number | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name may have blanks and parentheses of its own.
    const [state, ...rest] = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return state === 'Z' || state === 'X' ? undefined : Number(rest[18]);
  } catch {
    return undefined;
  }
}

/** Whether a path exists and is a socket. */
export const isSocket = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isSocket() ?? false;
