import type { Role, RunBegin } from '../../src/timeline/index.js';
import { Exchange, INODE, PID, type Setting, SOCKET } from './exchange-script.js';
import { Story } from './timeline-builder.js';

export { ACCEPTED, FORWARDED, hex, INODE, PID, SOCKET } from './exchange-script.js';

/** A whole run that no requirement has anything against. */
function run(role: Role, setting: Setting): Story {
  const x = new Exchange(role, setting);
  const { tape, o } = x;
  const begin: RunBegin = {
    type: 'run.begin',
    schema: 1,
    variant: `${role}.restart[]`,
    case: `${role}.restart`,
    role,
    machine: 'q35',
    profile: 'ovs-dpdk-3.1',
    driver: o.driver,
    queuePairs: o.pairs,
    memory: o.memory,
    reconnectMs: role === 'client' ? o.reconnectMs : 0,
    socketPath: SOCKET,
    qemu: { version: o.version, argv: ['qemu-system-x86_64'] },
    tester: '0.1.0',
    startedAt: '2026-01-01T00:00:00.000Z',
  };
  tape.add(begin);
  if (role === 'client') tape.add({ type: 'peer.listen', path: SOCKET });
  tape.add({ type: 'qemu.spawn', pid: PID }).wait(16);
  if (role === 'server') tape.add({ type: 'socket.path', inode: INODE });
  x.open().handshake();
  tape.wait(12).add({ type: 'qmp.ready' });
  const ready = tape.now;
  tape.add({ type: 'chardev.state', connected: true, means: 'qom' });
  x.enable(1);
  if (o.driver === 'linux') x.startDriver().traffic();
  tape.wait(300).add({ type: 'proc.sample', fds: 30, threads: 4, settled: true }).wait(300);
  for (const away of o.away) {
    x.lose(away);
    if (o.driver === 'linux') x.traffic();
    tape.wait(300).add({ type: 'proc.sample', fds: 30, threads: 4, settled: true }).wait(300);
  }
  if (o.removal) {
    x.replaceNetdev();
    if (o.driver === 'linux') x.traffic();
    tape.wait(1200);
  }
  x.heartbeats(ready + 1).quit();
  return new Story(tape.events);
}

const usual: Setting = {
  driver: 'linux',
  pairs: 1,
  version: '7.2.22',
  reconnectMs: 1000,
  away: [3100],
  memory: 64 << 20,
};

/** QEMU listens; the peer leaves for 3.1 s and dials again. */
export const server = (setting: Partial<Setting> = {}): Story => run('server', { ...usual, ...setting });

/** QEMU dials with an interval of 1 s; the peer leaves for 3.1 s. */
export const client = (setting: Partial<Setting> = {}): Story => run('client', { ...usual, ...setting });
