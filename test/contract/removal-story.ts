import type { Timed } from './timeline-builder.js';

/** A QMP command about a thing, and its answer 1 ms later unless said. */
export function command(
  t: number,
  number: number,
  execute: string,
  id: string,
  { takes = 1, error }: { takes?: number; error?: string } = {},
): Timed[] {
  return [
    { type: 'qmp.command', t, id: 100 + number, execute, arguments: { id } },
    {
      type: 'qmp.reply',
      t: t + takes,
      id: 100 + number,
      execute,
      latency: takes,
      ...(error === undefined ? { value: {} } : { error }),
    },
  ];
}

/** The network device is gone. */
export const deleted = (t: number): Timed[] => [
  { type: 'qmp.event', t, event: 'DEVICE_DELETED', data: { path: '/machine/peripheral/nic/virtio-backend' } },
  { type: 'qmp.event', t, event: 'DEVICE_DELETED', data: { path: '/machine/peripheral/nic', device: 'nic' } },
];
