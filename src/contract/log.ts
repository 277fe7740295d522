import { joined } from './guest-state.js';
import { broken, counted, hold, notApplicable } from './judgement.js';
import type { Requirement } from './requirement.js';

/** What QEMU has to say of a connection, with a loss at any place of it; measured at most 61 lines in 1 to 3 connections. */
const LINES = 100;

export const R51: Requirement = {
  id: 'R51',
  title: 'QEMU does not flood its log',
  sentence: 'What QEMU writes on its error stream is in proportion to the connections that it had.',
  level: 'should',
  label: 'contract',
  sources: ['qemu:hw/virtio/vhost-user.c#vhost_user_read', 'qemu:hw/virtio/vhost.c#vhost_dev_stop'],
  allowed: `${LINES} lines for the start and as many for each connection. Failed dials are R15's.`,
  judge(t) {
    if (joined(t)) return notApplicable('the error stream is not seen');
    const lines = t.all('qemu.stderr');
    const connections = t.all('session.open').length;
    const words = `${counted(lines.length, 'line')} in ${counted(connections, 'connection')}`;
    if (lines.length <= LINES * (1 + connections))
      return hold(
        words,
        lines.slice(0, 1).map(({ seq }) => seq),
      );
    return broken('violation', words, [lines[0]!.seq, lines.at(-1)!.seq]);
  },
};
