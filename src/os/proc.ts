import { readdirSync, readFileSync } from 'node:fs';

/** Open file descriptors of a process; undefined when it is gone or not ours to look at. */
export function countFds(pid: number): number | undefined {
  const fds = listFds(pid)?.length;
  // Looking at ourselves takes one.
  return fds !== undefined && pid === process.pid ? fds - 1 : fds;
}

/** Their numbers; of ourselves the one that it takes to look is among them. */
export function listFds(pid: number): number[] | undefined {
  return orNothing(() => readdirSync(`/proc/${pid}/fd`).map(Number));
}

/** Threads of a process; undefined when it is gone. */
export function countThreads(pid: number): number | undefined {
  return orNothing(() => readdirSync(`/proc/${pid}/task`).length);
}

/** What a process has of memory, in bytes. */
export interface Memory {
  /** The most virtual memory that it ever had. */
  peak: number;
  /** What of its own memory, which no file and nobody else has, is resident: heap, stacks. Pages that are swapped out are not. */
  anonymous: number;
}

/** By VmPeak and RssAnon of proc_pid_status(5); undefined when the process is gone, or a zombie. */
export function memoryOf(pid: number): Memory | undefined {
  const status = orNothing(() => readFileSync(`/proc/${pid}/status`, 'latin1'));
  const kib = (name: string) => status?.match(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm'))?.[1];
  const [peak, anonymous] = [kib('VmPeak'), kib('RssAnon')];
  if (peak === undefined || anonymous === undefined) return undefined;
  return { peak: Number(peak) * 1024, anonymous: Number(anonymous) * 1024 };
}

/** Milliseconds in all of a process's main thread. */
export interface MainThreadTimes {
  /** On a CPU. */
  ran: number;
  /** Ready to run, but without a CPU. */
  delay: number;
}

/**
 * How a process's main thread spent its time (Documentation/scheduler/sched-stats.rst, first two fields of schedstat, in
 * ns); undefined when it is gone or the kernel keeps no such statistics.
 */
export function mainThreadTimes(pid: number): MainThreadTimes | undefined {
  const [ran, delay] = orNothing(() => readFileSync(`/proc/${pid}/schedstat`, 'latin1'))?.split(' ') ?? [];
  return ran === undefined || delay === undefined ? undefined : { ran: Number(ran) / 1e6, delay: Number(delay) / 1e6 };
}

/** The arguments of a process, the program first; empty for a zombie, undefined when it is gone. */
export function processCmdline(pid: number): string[] | undefined {
  return orNothing(() => readFileSync(`/proc/${pid}/cmdline`, 'utf8'))
    ?.split('\0')
    .slice(0, -1);
}

/** A socket of /proc/net/unix that is bound. `connecting` is a connection in a backlog, not accepted yet: it has inode 0. */
export interface UnixSocket {
  inode: number;
  state: 'listening' | 'unconnected' | 'connecting' | 'connected' | 'disconnecting';
}

/** The AF_UNIX sockets of this network namespace that are bound to `path`: absolute as given to bind(2), `@` first for an abstract name. */
export function unixSockets(path: string): UnixSocket[] {
  return parseUnixSockets(readFileSync('/proc/net/unix', 'utf8'), path);
}

// Num: RefCount Protocol Flags Type St Inode Path (proc_pid_net(5)); the path may hold blanks.
const UNIX_LINE = /^\w+: \w+ \w+ (\w+) \w+ (\w+) +(\d+)(?: (.+))?$/;
/** __SO_ACCEPTCON (include/linux/net.h): listen(2) was called. */
const ACCEPTCON = 0x10000;
/** enum socket_state (include/uapi/linux/net.h) from 1 on; what else there is has no socket. */
const STATES = ['unconnected', 'connecting', 'connected', 'disconnecting'] as const;

/** Those of the sockets of /proc/net/unix's text that are bound to `path`. A host has thousands of others: only their ends are looked at. */
export function parseUnixSockets(text: string, path: string): UnixSocket[] {
  const sockets: UnixSocket[] = [];
  const end = ` ${path}\n`;
  for (let at = text.indexOf(end); at >= 0; at = text.indexOf(end, at + end.length)) {
    const line = text.slice(text.lastIndexOf('\n', at) + 1, at + end.length - 1);
    const [, flags, state, inode, bound] = UNIX_LINE.exec(line) ?? [];
    // Another path may end in a blank and this one.
    if (flags === undefined || state === undefined || bound !== path) continue;
    sockets.push({
      inode: Number(inode),
      state:
        Number.parseInt(flags, 16) & ACCEPTCON
          ? 'listening'
          : (STATES[Number.parseInt(state, 16) - 1] ?? 'unconnected'),
    });
  }
  return sockets;
}

/** What `read` gives, undefined when the process is gone (ENOENT, ESRCH) or somebody else's (EACCES, EPERM). */
function orNothing<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES' || code === 'EPERM') return undefined;
    throw error;
  }
}

/** The kernel's number of an eventfd of this process, by which copies of it are known; undefined for anything else (Linux 5.2). */
export function eventFdId(fd: number): number | undefined {
  const id = /^eventfd-id:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1];
  return id === undefined ? undefined : Number(id);
}
