import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GuestConsole, type GuestFact, guestAppend } from '../../src/guest/index.js';

/** What a console tells of bytes that come in these pieces. */
function facts(...pieces: (Buffer | string)[]): GuestFact[] {
  const told: GuestFact[] = [];
  const console = new GuestConsole((fact) => told.push(fact));
  for (const piece of pieces) console.feed(Buffer.from(piece));
  console.end();
  return told;
}

/** What a line is taken for, without what all facts have. */
function fact(line: string): Partial<GuestFact> {
  const [{ boot: _, time: __, ...rest }, ...others] = facts(`[    1.500000] ${line}\r\n`) as [GuestFact];
  expect(others).toEqual([]);
  return rest;
}

const SESSION = [
  'Probing EDD (edd=off to disable)... ok\r\n',
  '[    0.016000] tsc: Unable to calibrate against PIT\r\n',
  '[    1.998682] @vr boot 6.1.0-56-cloud-amd64\r\n',
  '[    2.266267] @vr carrier eth0 1 ups=1 downs=1\r\n',
  '[    2.268505][    T1] @vr ready nics=1\r\n',
  '[    2.371576] @vr ping eth0 epoch=1 seq=0 ms=19.146\r\n',
  '\r\n',
  '[    9.000000] caf\u00e9 WARNING: no line of its own\r\n',
  '[    0.016000] tsc: again\r\n',
  '[    1.900000] @vr boot 6.1.0-56-cloud-amd64\r\n',
  '[   12.500000] @vr ping eth0 epoch=1 seq=0 m',
].join('');
const TOLD: GuestFact[] = [
  { boot: 0, kind: 'line', text: 'Probing EDD (edd=off to disable)... ok' },
  { boot: 0, time: 0.016, kind: 'line', text: 'tsc: Unable to calibrate against PIT' },
  { boot: 1, time: 1.998682, kind: 'boot', kernel: '6.1.0-56-cloud-amd64' },
  { boot: 1, time: 2.266267, kind: 'carrier', nic: 'eth0', up: true, ups: 1, downs: 1 },
  { boot: 1, time: 2.268505, kind: 'ready', nics: 1 },
  { boot: 1, time: 2.371576, kind: 'ping', nic: 'eth0', epoch: 1, seq: 0, ms: 19.146 },
  { boot: 1, time: 9, kind: 'line', text: 'café WARNING: no line of its own' },
  { boot: 1, time: 0.016, kind: 'line', text: 'tsc: again' },
  { boot: 2, time: 1.9, kind: 'boot', kernel: '6.1.0-56-cloud-amd64' },
  { boot: 2, time: 12.5, kind: 'line', text: '@vr ping eth0 epoch=1 seq=0 m' },
];

describe('GuestConsole', () => {
  it('tells facts, with the guest’s time, and which start they are of', () => {
    expect(facts(SESSION)).toEqual(TOLD);
  });

  it('tells the same wherever the bytes are split', () => {
    const bytes = Buffer.from(SESSION);
    for (let at = 0; at <= bytes.length; at++)
      expect(facts(bytes.subarray(0, at), bytes.subarray(at)), `split at ${at}`).toEqual(TOLD);
    expect(facts(...[...bytes].map((byte) => Buffer.from([byte])))).toEqual(TOLD);
  });

  it('keeps what it was given before the buffer is used again', () => {
    const buffer = Buffer.from('[ 1.0] @vr ready nics=1\n[ 2.0] @vr rea');
    const told: GuestFact[] = [];
    const console = new GuestConsole((one) => told.push(one));
    console.feed(buffer);
    buffer.fill('x');
    console.feed(Buffer.from('dy nics=2\n'));
    expect(told.map((one) => (one.kind === 'ready' ? one.nics : one))).toEqual([1, 2]);
  });

  it.each([
    ['@vr address eth0 10.73.0.10/24', { kind: 'address', nic: 'eth0', address: '10.73.0.10/24' }],
    ['@vr carrier eth1 0 ups=2 downs=3', { kind: 'carrier', nic: 'eth1', up: false, ups: 2, downs: 3 }],
    ['@vr lost eth0 epoch=2 first=44 last=74', { kind: 'lost', nic: 'eth0', epoch: 2, first: 44, last: 74 }],
    ['@vr ping eth0 epoch=2 seq=59999 ms=12', { kind: 'ping', nic: 'eth0', epoch: 2, seq: 59999, ms: 12 }],
    ['@vr error eth0 epoch=3 sendto: No', { kind: 'error', nic: 'eth0', text: 'epoch=3 sendto: No' }],
    ['@vr error - insmod a.ko failed', { kind: 'error', text: 'insmod a.ko failed' }],
    ['@vr what', { kind: 'line', text: '@vr what' }],
    ['@vr ping eth0 epoch=x seq=1 ms=1', { kind: 'line', text: '@vr ping eth0 epoch=x seq=1 ms=1' }],
  ])('takes “%s” for what it is', (line, expected) => {
    expect(fact(line)).toEqual(expected);
  });

  it('believes only lines that came through the kernel', () => {
    expect(facts('@vr ready nics=1\n')).toEqual([{ boot: 0, kind: 'line', text: '@vr ready nics=1' }]);
    expect(fact('usb 1-1: @vr ready nics=1')).toMatchObject({ kind: 'line' });
  });

  it.each([
    ['panic', 'Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100'],
    ['oops', 'BUG: kernel NULL pointer dereference, address: 0000000000000008'],
    ['oops', 'BUG: unable to handle page fault for address: ffffc90000400000'],
    ['oops', 'Oops: 0002 [#1] PREEMPT SMP NOPTI'],
    ['oops', 'general protection fault, probably for non-canonical address 0xdead000000000100: 0000 [#1] SMP'],
    ['oops', 'kernel BUG at drivers/net/virtio_net.c:123!'],
    ['warning', 'WARNING: CPU: 0 PID: 1 at kernel/irq/manage.c:790 f+0x20f/0x220'],
    ['warning', 'WARNING: kernel/sched/core.c:1 at f+0x1/0x2, CPU#0: sh/1'],
    ['tx-timeout', 'NETDEV WATCHDOG: eth0 (virtio_net): transmit queue 0 timed out'],
    ['tx-timeout', 'virtio_net virtio0 eth0: NETDEV WATCHDOG: CPU: 0: transmit queue 0 timed out 5376 ms'],
    [
      'tx-timeout',
      'virtio_net virtio0 eth0: TX timeout on queue: 0, sq: output.0, vq: 0x1, name: output.0, 5 usecs ago',
    ],
    ['virtio', 'virtio_net virtio0: output.0:id 5 is not a head!'],
    ['virtio', 'virtio_net virtio0: input.0:id 300 out of range'],
    ['virtio', 'eth0: bad gso: type: 5, size: 0'],
    ['irq', 'irq 22: nobody cared (try booting with the "irqpoll" option)'],
    ['hung-task', 'INFO: task ip:70 blocked for more than 20 seconds.'],
    ['lockup', 'watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [sh:1]'],
    ['lockup', 'rcu: INFO: rcu_preempt self-detected stall on CPU'],
    ['memory', 'Out of memory: Killed process 70 (ping) total-vm:1kB'],
  ])('sees %s in “%s”', (what, line) => {
    expect(fact(line)).toEqual({ kind: 'trouble', what, line });
  });

  it.each([
    'printk: console [ttyS0] enabled',
    'oops=continue mentioned on a command line',
    'Debugging: no WARNING here',
    // The driver tells of it by the NIC's name.
    'WARNING: CPU: 0 PID: 0 at net/sched/sch_generic.c:525 dev_watchdog+0x20f/0x220',
    'virtio_net virtio0 eth0: renamed from ens4',
  ])('sees none in “%s”', (line) => {
    expect(fact(line)).toEqual({ kind: 'line', text: line });
  });

  it('cuts a line that is too long, and does not grow with it', () => {
    const told = facts(...Array.from({ length: 3000 }, () => 'x'.repeat(1000)), '\n[ 1.0] @vr ready nics=1\n');
    expect(told).toEqual([
      { boot: 0, kind: 'line', text: `${'x'.repeat(2000)}…` },
      { boot: 0, time: 1, kind: 'ready', nics: 1 },
    ]);
  });

  it('takes any bytes, in any pieces, and finds the next line', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 60 })), (pieces) => {
        const told = facts(...pieces.map((piece) => Buffer.from(piece)), '\n[    7.000000] @vr ready nics=3\n');
        expect(told.at(-1)).toMatchObject({ time: 7, kind: 'ready', nics: 3 });
        // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
        for (const one of told) if (one.kind === 'line') expect(one.text).not.toMatch(/[\0-\x08\x0a-\x1f\x7f]/);
        expect(facts(Buffer.concat(pieces), '\n[    7.000000] @vr ready nics=3\n')).toEqual(told);
      }),
    );
  });
});

describe('guestAppend', () => {
  it('says what init.sh reads, and nothing of what is left out', () => {
    expect(guestAppend()).not.toContain('vr.');
    const words = guestAppend({ address: '10.1.0.2/24', prefix6: 'fd01::', gateway: '10.1.0.1', intervalMs: 250 });
    expect(words).toMatch(/ vr\.ip=10\.1\.0\.2\/24 vr\.ip6=fd01:: vr\.gw=10\.1\.0\.1 vr\.interval=0\.25$/);
  });
});
