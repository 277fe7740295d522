import type { Requirement } from '../../src/contract/index.js';
import { paint } from '../../src/report/paint.js';
import { type RequirementResult, type RunResult, summarise, type VariantResult } from '../../src/runner/index.js';
import type { Event, EventBody } from '../../src/timeline/index.js';

export const plain = paint(false);

/** Events in order, stamped 100 ms apart. */
export function events(...bodies: EventBody[]): Event[] {
  return bodies.map((body, seq) => ({ seq, t: seq * 100, ...body }) as Event);
}

const requirement = (id: string, title: string): Requirement => ({
  id,
  title,
  sentence: `QEMU keeps ${id}.`,
  level: 'must',
  label: 'contract',
  sources: ['qemu:chardev/char-socket.c'],
  allowed: 'nothing else',
  judge: () => ({ outcome: 'hold', seen: '', events: [] }),
});

/** A contract of two clauses. */
export const contract: Requirement[] = [
  requirement('R1', 'A peer that closes never ends QEMU'),
  requirement('R8', 'A listening QEMU dials nobody'),
];

export const broken = (
  id: string,
  kind: 'crash' | 'hang' | 'violation',
  seen: string,
  at: number[],
): RequirementResult => ({
  requirement: id,
  judgement: { outcome: 'break', kind, seen, events: at },
});

export function variant(over: Partial<VariantResult> = {}): VariantResult {
  const id = over.variant ?? 'server.absence.short[away=0ms]';
  return {
    place: 0,
    variant: id,
    case: id.replace(/\[.*/, ''),
    title: 'A listening QEMU serves a back-end that returns',
    role: 'server',
    machine: 'q35',
    profile: 'ovs-dpdk-3.1',
    verdict: 'pass',
    requirements: [],
    outages: [],
    stalls: [],
    durationMs: 1234,
    timeline: 'timelines/x.jsonl',
    excerpt: [],
    reproduce: `vhost-reconnect run '${id}'`,
    ...over,
  };
}

/** A QEMU that died of its own dial 3 s after the peer left. */
export const crashed = variant({
  variant: 'server.absence.beyond-timer[away=3.1s]',
  verdict: 'fail',
  kind: 'crash',
  reason: 'R1: QEMU was killed by SIGABRT',
  requirements: [
    broken('R8', 'violation', 'QEMU dialled its own socket', [1]),
    broken('R1', 'crash', 'QEMU was killed by SIGABRT', [2, 3]),
  ],
  excerpt: events(
    { type: 'session.close', session: 1, by: 'peer', how: 'close' },
    { type: 'self-dial', since: 0, inodes: [41, 42] },
    { type: 'qemu.stderr', line: "tcp_chr_change_state: Assertion `x' failed.\x1b[0m" },
    { type: 'qemu.exit', code: null, signal: 'SIGABRT' },
  ),
});

const entry = {
  place: 'mine.yaml:4',
  reason: 'It dials itself.',
  reference: 'defect:x',
  broken: ['R1', 'R8'],
  held: [],
  more: [],
};
/** The same death, known. */
export const known: VariantResult = { ...crashed, expectation: { ...entry, state: 'met' } };
/** A variant that is expected to break R1, and holds. */
export const stale: VariantResult = variant({
  variant: 'server.absence.short[away=1s]',
  expectation: { ...entry, state: 'stale', broken: [], held: ['R1'] },
});
/** A death that is known, with something beside it. */
export const exceeded: VariantResult = { ...crashed, expectation: { ...entry, state: 'exceeded', more: ['R8'] } };

export function runOf(variants: VariantResult[], over: Partial<RunResult> = {}): RunResult {
  return {
    schema: 2,
    tester: { name: 'vhost-reconnect', version: '0.1.0' },
    contract: { version: 1 },
    startedAt: '2026-01-02T03:04:05.678Z',
    durationMs: 41_000,
    qemu: {
      path: '/usr/bin/qemu-system-x86_64',
      version: '7.2.22',
      versionText: 'QEMU emulator version 7.2.22 (Debian)',
      binary: '/usr/bin/qemu-system-x86_64',
      sha256: 'ab'.repeat(32),
      buildId: 'cd'.repeat(20),
      package: 'qemu-system-x86 1:7.2+dfsg-7',
    },
    hosts: [{ kernel: '6.1.0', distribution: 'Debian GNU/Linux 12', architecture: 'x64', cpu: 'A CPU', cpus: 2 }],
    selection: {
      selectors: [],
      roles: ['server'],
      machines: ['q35'],
      profiles: ['ovs-dpdk-3.1'],
      accel: 'auto',
      repeat: 1,
      jobs: 16,
      selection: 'full',
      level: 'must',
    },
    summary: summarise(variants),
    variants,
    notRun: [],
    interrupted: false,
    exitCode: 0,
    ...over,
  };
}
