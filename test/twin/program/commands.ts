import { type Command, failure, NOTHING, VERSION } from './qmp.js';
import type { Twin } from './twin.js';

/** QOM types that a tester may look for. */
const TYPES: ReadonlySet<string> = new Set([
  'tcg-accel',
  'qtest',
  'memory-backend-memfd',
  'virtio-net-device',
  'virtio-net-pci',
]);

const yes = (value: unknown): { return: unknown } => ({ return: value });

/** What a tester asks before it starts a machine, answered as Debian's QEMU 10.0 does as far as it matters. */
const facts: Record<string, Command> = {
  qmp_capabilities: () => NOTHING,
  'query-version': () => yes(VERSION),
  'query-machines': () =>
    yes([
      { name: 'microvm', 'cpu-max': 288, 'hotpluggable-cpus': false, 'numa-mem-supported': false, deprecated: false },
      {
        name: 'q35',
        alias: 'pc-q35-10.0',
        'cpu-max': 288,
        'hotpluggable-cpus': true,
        'numa-mem-supported': true,
        deprecated: false,
      },
      { name: 'none', 'cpu-max': 1, 'hotpluggable-cpus': false, 'numa-mem-supported': false, deprecated: false },
    ]),
  'qom-list-properties': ({ typename }) =>
    TYPES.has(String(typename)) ? yes([]) : failure(`Class '${typename}' not found`, 'DeviceNotFound'),
  'query-command-line-options': ({ option }) =>
    yes(
      option === undefined || option === 'chardev'
        ? [
            {
              option: 'chardev',
              parameters: ['path', 'server', 'wait', 'reconnect'].map((name) => ({ name, type: 'string' })),
            },
          ]
        : [],
    ),
};

/** The monitor's commands. */
export function commands(twin: Twin): Record<string, Command> {
  /** The capability pause-before-switchover. */
  let pause = false;
  /** Chardevs that were added at run time. */
  const added = new Set<string>();
  return {
    ...facts,
    'query-status': () => yes({ status: twin.runState, singlestep: false, running: twin.running }),
    'query-chardev': () => yes([{ label: twin.chardevId, filename: twin.filename, 'frontend-open': true }]),
    'qom-get': ({ path, property }) => {
      if (path !== `/chardevs/${twin.chardevId}`) return failure(`Device '${path}' not found`, 'DeviceNotFound');
      if (property !== 'connected') return failure(`Property 'chardev-socket.${property}' not found`);
      return yes(twin.reportedConnected);
    },
    'announce-self': async ({ rounds }) => {
      await twin.announce();
      // The rounds after the first are a timer's.
      return { return: {}, after: () => twin.announceOften(Number(rounds ?? 1) - 1) };
    },
    stop: async () => {
      await twin.setRunning(false);
      return NOTHING;
    },
    cont: async () => {
      await twin.setRunning(true);
      return NOTHING;
    },
    system_reset: async () => {
      await twin.reset();
      return NOTHING;
    },
    system_powerdown: () => ({ return: {}, after: () => twin.powerDown() }),
    set_link: async ({ up }) => {
      await twin.setLink(up === true);
      return NOTHING;
    },
    'migrate-set-capabilities': ({ capabilities }) => {
      for (const { capability, state } of capabilities as { capability: string; state: boolean }[])
        if (capability === 'pause-before-switchover') pause = state;
      return NOTHING;
    },
    'migrate-set-parameters': () => NOTHING,
    migrate: ({ uri }) => {
      if (twin.migrationBlocker !== undefined) return failure(twin.migrationBlocker);
      if (twin.migration && !twin.migration.over) return failure('There is a migration process in progress');
      return { return: {}, after: () => twin.migrate(String(uri).replace(/^unix:/, ''), pause) };
    },
    'migrate-continue': () => {
      twin.migration?.continue();
      return NOTHING;
    },
    migrate_cancel: () => ({ return: {}, after: () => twin.migration?.cancel() }),
    'query-migrate': () => {
      const { status, error } = twin.migration ?? {};
      return yes({ ...(status ? { status } : {}), ...(error ? { 'error-desc': error } : {}) });
    },
    yank: () => {
      twin.yank();
      return NOTHING;
    },
    'query-rx-filter': () => yes([]),
    'x-query-virtio': () => yes([]),
    'qom-list': () => yes([{ name: 'connected', type: 'bool' }]),
    'human-monitor-command': () => yes(''),
    'chardev-add': ({ id }) => {
      if (id === twin.chardevId || added.has(String(id))) return failure(`Chardev with id '${id}' already exists`);
      added.add(String(id));
      return NOTHING;
    },
    'chardev-remove': ({ id }) => {
      if (id === twin.chardevId) return failure(`Chardev '${id}' is busy`);
      return added.delete(String(id)) ? NOTHING : failure(`Chardev '${id}' not found`);
    },
    'chardev-change': () => failure('Chardev user does not support chardev hotswap'),
    quit: () => ({ return: {}, after: () => twin.quit() }),
  };
}
