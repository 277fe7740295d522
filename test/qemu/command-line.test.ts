import { describe, expect, it } from 'vitest';
import { type NeededType, neededTypes } from '../../src/qemu/facts.js';
import { type CommandLineOptions, commandLine, haltBios, plugCommand } from '../../src/qemu/index.js';
import { facts } from './support.js';

const base: CommandLineOptions = {
  facts: facts(),
  role: 'server',
  machine: 'q35',
  accel: 'auto',
  queuePairs: 1,
  ring: 'split',
  memory: 64 << 20,
  reconnectMs: 1000,
  socketPath: '/run/v.sock',
  qmpPath: '/run/qmp.sock',
  qtestPath: '/run/qtest.sock',
  biosPath: '/run/halt.bin',
};

const withoutType = (type: NeededType) => facts({ types: new Set(neededTypes.filter((one) => one !== type)) });

/** The value of the last `-name`. */
function option(name: string, changes: Partial<CommandLineOptions> = {}): string | undefined {
  const argv = commandLine({ ...base, ...changes });
  const at = argv.lastIndexOf(`-${name}`);
  return at < 0 ? undefined : argv[at + 1];
}

describe('commandLine', () => {
  it('describes the whole machine', () => {
    expect(commandLine({ ...base, extra: ['-trace', 'vhost*'] })).toEqual([
      '-nodefaults',
      '-no-user-config',
      ...['-display', 'none'],
      ...['-accel', 'tcg,tb-size=1'],
      ...['-machine', 'q35,memory-backend=mem'],
      ...['-m', '64M'],
      ...['-object', 'memory-backend-memfd,id=mem,size=64M,share=on'],
      ...['-bios', '/run/halt.bin'],
      ...['-chardev', 'socket,id=c0,path=/run/v.sock,server=on,wait=off'],
      ...['-netdev', 'vhost-user,id=n0,chardev=c0'],
      ...['-device', 'virtio-net-pci,netdev=n0,disable-legacy=on,vectors=0,addr=4'],
      ...['-qmp', 'unix:/run/qmp.sock,server=off'],
      ...['-qtest', 'unix:/run/qtest.sock,server=off'],
      ...['-qtest-log', 'none'],
      ...['-trace', 'vhost*'],
    ]);
  });

  it('has a chardev, a netdev and a NIC for each port, in the order of the sockets', () => {
    const several = (changes: Partial<CommandLineOptions> = {}) => {
      const argv = commandLine({ ...base, morePaths: ['/run/w.sock', '/run/x.sock'], ...changes });
      return argv.filter((_, i) => ['-chardev', '-netdev', '-device'].includes(argv[i - 1]!));
    };
    expect(several()).toEqual([
      'socket,id=c0,path=/run/v.sock,server=on,wait=off',
      'socket,id=c1,path=/run/w.sock,server=on,wait=off',
      'socket,id=c2,path=/run/x.sock,server=on,wait=off',
      'vhost-user,id=n0,chardev=c0',
      'vhost-user,id=n1,chardev=c1',
      'vhost-user,id=n2,chardev=c2',
      'virtio-net-pci,netdev=n0,disable-legacy=on,vectors=0,addr=4',
      'virtio-net-pci,netdev=n1,disable-legacy=on,vectors=0,addr=5',
      'virtio-net-pci,netdev=n2,disable-legacy=on,vectors=0,addr=6',
    ]);
    // One of them can be removed, as ever; and QEMU reads slots as hexadecimal numbers.
    const many = several({ extras: ['removable'], morePaths: Array.from({ length: 8 }, (_, i) => `/run/${i}`) });
    expect(many.filter((text) => text.includes(',id=nic'))).toEqual([expect.stringContaining('netdev=n0,')]);
    expect(many.at(-1)).toMatch(/addr=c$/);
    expect(several({ machine: 'microvm' }).slice(6)).toEqual(
      [0, 1, 2].map((port) => `virtio-net-device,netdev=n${port}`),
    );
  });

  it.each([
    ['reconnect-ms', 200, ',reconnect-ms=200'],
    ['reconnect-ms', 1000, ',reconnect-ms=1000'],
    ['reconnect-ms', 0, ''],
    ['reconnect', 2000, ',reconnect=2'],
    ['reconnect', 0, ''],
  ] as const)('sets a client’s retry interval by %s: %d ms', (reconnectOption, reconnectMs, expected) => {
    const changes = { facts: facts({ reconnectOption }), role: 'client', reconnectMs } as const;
    expect(option('chardev', changes)).toBe(`socket,id=c0,path=/run/v.sock${expected}`);
  });

  it('refuses an interval that a binary with whole seconds cannot have', () => {
    const changes = { facts: facts({ reconnectOption: 'reconnect' }), role: 'client', reconnectMs: 1500 } as const;
    expect(() => option('chardev', changes)).toThrow(expect.objectContaining({ code: 'ERR_QEMU_UNSUPPORTED' }));
  });

  it('asks for several queue pairs', () => {
    expect(option('netdev', { queuePairs: 4 })).toBe('vhost-user,id=n0,chardev=c0,queues=4');
    expect(option('device', { queuePairs: 4 })).toContain('netdev=n0,mq=on,');
    expect(option('device', { ring: 'packed' })).toContain('netdev=n0,packed=on,');
    expect(option('device', { ring: 'packed', machine: 'microvm' })).toMatch(/,packed=on$/);
  });

  it('puts the device on virtio-mmio on a microvm, in its modern form', () => {
    expect(option('machine', { machine: 'microvm' })).toBe('microvm,ioapic2=off,memory-backend=mem');
    expect(option('device', { machine: 'microvm' })).toBe('virtio-net-device,netdev=n0');
    expect(option('global', { machine: 'microvm' })).toBe('virtio-mmio.force-legacy=false');
    expect(option('global', { machine: 'pc' })).toBeUndefined();
  });

  it.each([
    ['auto', ['tcg', 'qtest'], 'tcg,tb-size=1'],
    ['auto', ['qtest', 'kvm'], 'qtest'],
    ['qtest', ['tcg', 'qtest'], 'qtest'],
    ['kvm', ['tcg', 'kvm'], 'kvm'],
  ] as const)('accelerator %s of %j is %s', (accel, accelerators, expected) => {
    expect(option('accel', { accel, facts: facts({ accelerators: new Set(accelerators) }) })).toBe(expected);
  });

  it.each([
    ['ERR_QEMU_ACCEL', { facts: facts({ accelerators: new Set(['kvm']) }) }],
    ['ERR_QEMU_ACCEL', { accel: 'qtest' }],
    ['ERR_QEMU_MACHINE', { machine: 'microvm', facts: facts({ machines: new Set(['q35']) }) }],
    ['ERR_QEMU_UNSUPPORTED', { facts: facts({ types: new Set(['memory-backend-memfd']) }) }],
    ['ERR_QEMU_UNSUPPORTED', { facts: facts({ types: new Set(['virtio-net-pci']) }) }],
    ['ERR_QEMU_UNSUPPORTED', { facts: withoutType('pc-dimm'), extras: ['memory'] }],
    ['ERR_QEMU_UNSUPPORTED', { facts: withoutType('virtio-balloon-pci'), extras: ['balloon'] }],
    ['ERR_QEMU_UNSUPPORTED', { facts: facts({ qtest: false }) }],
  ] as [string, Partial<CommandLineOptions>][])('throws %s for what a binary lacks (%#)', (code, changes) => {
    expect(() => option('machine', changes)).toThrow(expect.objectContaining({ code, hint: expect.any(String) }));
  });

  it('has a second monitor where it is wanted, at which it listens', () => {
    const changes = { monitorPath: '/run/m,n.sock' };
    expect(option('qmp', { ...changes, extras: ['monitor'] })).toBe('unix:/run/m,,n.sock,server=on,wait=off');
    expect(option('qmp', { ...changes, extras: ['balloon'] })).toBe('unix:/run/qmp.sock,server=off');
    expect(() => option('qmp', { extras: ['monitor'] })).toThrow(TypeError);
  });

  it('boots a guest in place of the BIOS and qtest', () => {
    const { biosPath: _, qtestPath: __, ...rest } = base;
    const guest = { kernel: '/g/vmlinuz', initrd: '/g/initrd', append: 'console=ttyS0', consolePath: '/run/c,n' };
    expect(commandLine({ ...rest, facts: facts({ qtest: false }), guest })).toEqual([
      '-nodefaults',
      '-no-user-config',
      ...['-display', 'none'],
      ...['-accel', 'tcg,tb-size=32'],
      ...['-machine', 'q35,memory-backend=mem'],
      ...['-m', '64M'],
      ...['-object', 'memory-backend-memfd,id=mem,size=64M,share=on'],
      ...['-kernel', '/g/vmlinuz', '-initrd', '/g/initrd', '-append', 'console=ttyS0 tsc=unstable clocksource=hpet'],
      ...['-chardev', 'socket,id=console,path=/run/c,,n,server=off'],
      ...['-serial', 'chardev:console'],
      ...['-chardev', 'socket,id=c0,path=/run/v.sock,server=on,wait=off'],
      ...['-netdev', 'vhost-user,id=n0,chardev=c0'],
      ...['-device', 'virtio-net-pci,netdev=n0,disable-legacy=on,vectors=0,addr=4,romfile='],
      ...['-qmp', 'unix:/run/qmp.sock,server=off'],
    ]);
    expect(option('smp', { guest, queuePairs: 4 })).toBe('4');
    expect(option('device', { guest, accel: 'kvm' })).toBe(
      'virtio-net-pci,netdev=n0,disable-legacy=on,addr=4,romfile=',
    );
  });

  it('gives a guest a clock whose pace is known where KVM does not', () => {
    const guest = { kernel: '/g/vmlinuz', initrd: '/g/initrd', append: 'a', consolePath: '/run/c' };
    expect(option('icount', { guest, machine: 'microvm' })).toBe('shift=2');
    expect(option('append', { guest, machine: 'microvm' })).toBe('a tsc=reliable tsc_early_khz=1000000');
    expect(option('icount', { guest, machine: 'microvm', accel: 'kvm' })).toBeUndefined();
    expect(option('append', { guest, machine: 'microvm', accel: 'kvm' })).toBe('a');
    expect(option('icount', { machine: 'microvm' })).toBeUndefined();
    expect(option('append', { guest })).toBe('a tsc=unstable clocksource=hpet');
    expect(option('append', { guest, accel: 'kvm' })).toBe('a');
  });

  it('wants to know where its sockets are', () => {
    for (const path of ['biosPath', 'qtestPath'] as const)
      expect(() => option('qmp', { [path]: undefined } as object)).toThrow(TypeError);
  });

  it('doubles the commas of a path', () => {
    expect(option('chardev', { socketPath: '/a,b/v' })).toContain('path=/a,,b/v,server=on');
    expect(option('qmp', { qmpPath: '/a,b/q' })).toBe('unix:/a,,b/q,server=off');
  });
});

describe('haltBios', () => {
  it('halts at the reset vector', () => {
    const bios = haltBios();
    expect(bios.length).toBe(65536);
    expect(bios.subarray(0xfff0, 0xfff4).toString('hex')).toBe('faf4ebfd');
    expect(bios.subarray(0, 0xfff0).every((byte) => byte === 0xf4)).toBe(true);
  });
});

describe('plugCommand', () => {
  const plugged = (what: Parameters<typeof plugCommand>[0], changes: Partial<CommandLineOptions> = {}) =>
    plugCommand(what, { ...base, machine: 'pc', extras: ['removable'], ...changes });

  it('adds the device that the command line has', () => {
    const changes = { queuePairs: 2, ring: 'packed', mtu: 9000 } as const;
    const { execute, arguments: args } = plugged('nic', changes);
    expect(execute).toBe('device_add');
    expect(args).toEqual({
      driver: 'virtio-net-pci',
      netdev: 'n0',
      id: 'nic',
      mq: true,
      packed: true,
      host_mtu: 9000,
      'disable-legacy': 'on',
      vectors: 0,
      addr: '4',
    });
    expect(option('device', { machine: 'pc', extras: ['removable'], ...changes })).toBe(
      'virtio-net-pci,netdev=n0,id=nic,mq=on,packed=on,host_mtu=9000,disable-legacy=on,vectors=0,addr=4',
    );
  });

  it('adds the netdev with its queues', () => {
    expect(plugged('netdev')).toEqual({
      execute: 'netdev_add',
      arguments: { type: 'vhost-user', id: 'n0', chardev: 'c0' },
    });
    expect(plugged('netdev', { queuePairs: 4 }).arguments).toMatchObject({ queues: 4 });
  });

  it('adds a chardev as its role asks for, in the words of the binary', () => {
    const addr = { type: 'unix', data: { path: '/run/v.sock' } };
    const socket = (data: object) => ({ id: 'c0', backend: { type: 'socket', data: { addr, ...data } } });
    expect(plugged('chardev')).toEqual({ execute: 'chardev-add', arguments: socket({ server: true, wait: false }) });
    const client = { role: 'client' } as const;
    const [seconds, ms] = (['reconnect', 'reconnect-ms'] as const).map((reconnectOption) => facts({ reconnectOption }));
    expect(plugged('chardev', { ...client, facts: seconds! }).arguments).toEqual(
      socket({ server: false, reconnect: 1 }),
    );
    expect(plugged('chardev', { ...client, facts: ms! }).arguments).toEqual(
      socket({ server: false, 'reconnect-ms': 1000 }),
    );
    expect(plugged('chardev', { ...client, reconnectMs: 0 }).arguments).toEqual(socket({ server: false }));
  });
});
