import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { builtinCases, expand, loadCatalogue, missing, type Variant, vocabulary } from '../../src/cases/index.js';
import { type ContractLevel, registry } from '../../src/contract/index.js';
import { DEFAULT_PROFILE } from '../../src/peer/index.js';
import { probe } from '../../src/qemu/index.js';
import { type RunResult, run, type VariantResult } from '../../src/runner/index.js';
import { readTimeline } from '../../src/timeline/index.js';
import { buildTwin, type TwinFault, twinFaults } from '../twin/index.js';

/** Variants for each requirement that gives its twins' faults the occasion to show, as cheap as it goes. */
const SERVER = 'server.absence.within-timer[absence=200ms,driver=linux,leave=close,machine=microvm]';
const SERVER_LONG = 'server.absence.beyond-timer[absence=6s,driver=none,leave=close,machine=microvm]';
const SERVER_MANY = 'leave.many[role=server,machine=microvm]';
const SERVER_PAIRS = 'queues.restart[role=server,pairs=2,driver=linux,machine=microvm]';
/** Packed rings on which nothing moved before the loss. */
const PACKED = 'rings.packed.untouched[role=server,pairs=1,leave=close,eventIdx=true,indirect=true,machine=microvm]';
const SERVER_SEEN = 'server.absence.beyond-timer[absence=3.1s,driver=linux,leave=close,machine=microvm]';
/** A guest that changes its number of queue pairs while a peer is there. */
const CHANGED = 'queues.changed[role=server,machine=microvm]';
/** A guest that sends while nobody is there. */
const SENDING = 'kicks.sending[role=server,leave=close,eventIdx=true,machine=microvm]';
/** A device with an MTU. */
const MTU = 'profile.without-reply-ack[role=server,machine=microvm]';
const CLIENT = 'client.absence.connection-only[driver=none,leave=close,machine=microvm]';
const occasions: Record<string, string> = {
  R4: 'quit.away[role=server,driver=none,machine=microvm]',
  R5: SERVER_MANY,
  R6: 'server.second-client.at-first[driver=linux,machine=microvm]',
  R12: CLIENT,
  R13: 'client.interval.zero[driver=none,machine=microvm]',
  R14: 'client.start.path-absent[driver=none,machine=microvm]',
  R31: SERVER_SEEN,
  R32: 'driver.reset-before-leave[role=server,machine=microvm]',
  M1: SERVER_LONG,
  R10: 'options.listener-with-interval[option=reconnect,value=1,machine=microvm]',
  R11: 'options.listener-waits[wait=off,late=6s,machine=microvm]',
  R15: 'client.absence.refused[driver=none,leave=close,machine=microvm]',
  R16: 'options.client-with-wait[value=off,machine=microvm]',
  R17: 'options.interval-spelling[option=reconnect-ms,value=1000,machine=microvm]',
  R19: 'leave.idle[role=server,leave=abort,machine=microvm]',
  R40: 'time.soak[role=server,pairs=1,machine=microvm]',
  R28: 'quit.connected[role=server,driver=linux,machine=microvm]',
  R44: SERVER_LONG,
  R45: MTU,
  R50: 'meanwhile.yank[role=server,phase=connected,machine=microvm]',
  R49: 'migration.announced[role=server,machine=microvm]',
  R35: 'migration.again[role=server,first=failed,pairs=1,machine=microvm]',
  R39: 'migration.cancelled[role=server,at=copied,pairs=1,machine=microvm]',
  R52: 'migration.traffic[role=server,pairs=1,ring=split,machine=microvm]',
  T4: 'migration.traffic[role=server,pairs=1,ring=split,machine=microvm]',
  R36: 'garbage.wrong-flags[role=server,message=GET_FEATURES,flags=1,machine=microvm]',
  R42: 'meanwhile.second-monitor[role=server,phase=away,client=stays,machine=microvm]',
  R37: 'back-channel.request[role=server,send=99,machine=microvm]',
};
const ofFault: Record<string, string[]> = {
  'base-zero': [SERVER, PACKED],
  'tx-muted': [SERVER, PACKED],
  'used-index-forgotten': [SENDING],
  'mtu-lost': [MTU],
  'given-up-not-disabled': [CHANGED],
  'taken-up-not-enabled': [CHANGED],
  'change-refused': [CHANGED],
  'self-dial-abort': [SERVER_LONG],
  'self-dial-quiet': ['server.absence.decoy[driver=none,machine=microvm]'],
  'crash-on-second-loss': [SERVER_MANY],
  'redial-once': ['client.absence.refused[driver=none,leave=close,machine=microvm]'],
  'keeps-insufficient-peer': ['upgrade.no-multiqueue[role=server,driver=none,machine=microvm]'],
  'does-not-wait-for-reply': ['handshake.late-answer[role=server,message=SET_MEM_TABLE,machine=microvm]'],
  'features-second-pair-forgotten': [SERVER_PAIRS],
  'reports-once-for-ever': ['client.absence.consecutive[leaves=2,machine=microvm]'],
  'enables-all-pairs': ['queues.restart[role=server,pairs=2,driver=none,machine=microvm]'],
  'status-not-reset': ['driver.rebind[role=server,machine=microvm]'],
  'status-told-once': ['meanwhile.link-off[role=server,machine=microvm]'],
  'qmp-dead-while-away': ['server.absence.for-ever[driver=none,leave=close,machine=microvm]'],
};

let variants: Variant[];
let dir: string;
let twin: string;

beforeAll(async () => {
  const cases = await loadCatalogue([builtinCases], vocabulary);
  variants = cases.flatMap((definition) => expand(definition, { roles: ['server', 'client'], machines: ['microvm'] }));
  dir = await mkdtemp(join(tmpdir(), 'vr-twins-'));
  twin = await buildTwin();
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/** The twin that commits a fault, as a binary of its own; without one it behaves. */
async function binary(fault?: string): Promise<string> {
  if (!fault) return twin;
  const path = join(dir, fault);
  await writeFile(path, `#!/bin/sh\nTWIN_FAULT=${fault} exec '${twin}' "$@"\n`, { mode: 0o755 });
  return path;
}

async function judge(
  qemu: string,
  wanted: readonly Variant[],
  jobs: number,
  level: ContractLevel = 'must',
): Promise<RunResult & { out: string }> {
  const facts = await probe(qemu);
  const out = await mkdtemp(join(dir, 'out-'));
  const result = await run({
    variants: wanted.filter((variant) => missing(variant, facts) === undefined),
    facts,
    identity: { sha256: null, buildId: null, package: null },
    profile: DEFAULT_PROFILE,
    accel: 'auto',
    jobs,
    repeat: 1,
    level,
    out,
    reporters: [],
    signal: new AbortController().signal,
    selection: {
      selectors: [],
      roles: [],
      machines: [],
      profiles: [],
      accel: 'auto',
      repeat: 1,
      jobs,
      selection: 'full',
      level,
    },
    tester: { name: 'test', version: '0' },
    reproduce: () => '',
  });
  return { ...result, out };
}

/** Faults of timing show well where no more of a run than this was spent in waiting for a CPU. */
const BUSY = 0.1;

/** So often a twin is tried on a machine that is busy. */
const ATTEMPTS = 5;

/** Whether the machine kept a run waiting for so long that it excuses what QEMU did late (see spent() of the contract). */
async function starved({ out, variants: results }: RunResult & { out: string }): Promise<boolean> {
  const timelines = await Promise.all(results.map(({ timeline }) => readTimeline(join(out, timeline!))));
  return timelines.some((t) => t.starved(0, t.end) > BUSY * t.end);
}

const brokenIn = ({ requirements }: VariantResult): string[] =>
  requirements.filter(({ judgement }) => judgement.outcome === 'break').map(({ requirement }) => requirement);

const told = ({ variant, verdict, reason }: VariantResult) => `${variant}: ${verdict}: ${reason}`;

function variantsFor({ name, breaks }: TwinFault): Variant[] {
  return (ofFault[name] ?? [occasions[breaks] ?? SERVER]).map((id) => {
    const variant = variants.find((candidate) => candidate.id === id);
    if (!variant) throw new Error(`no variant ${id} for ${name}`);
    return variant;
  });
}

/** A program of node's does not live through a shortage of descriptors, and clears its backlog in it. */
const beyondTheTwin = ({ caseId, driver }: Variant): boolean => caseId.startsWith('limits.') || driver === 'guest';

/**
 * The twin is a microvm, where no device can be unplugged, and boots nothing: hot-plug.test.ts and guest-system.test.ts in
 * test/contract see these hold and break.
 */
const withoutTwin: ReadonlySet<string> = new Set(['R41', 'R43', 'T5']);
const twinned = registry.map(({ id }) => id).filter((id) => !withoutTwin.has(id));

/** So many variants of each case that both roles and every value of its matrix are among them. */
function sample(all: readonly Variant[]): Variant[] {
  const seen = new Set<string>();
  return all.filter(({ caseId, role, params }) => {
    const fresh = [['role', role], ...Object.entries(params)].map((pair) => [caseId, ...pair].join());
    const wanted = fresh.some((value) => !seen.has(value));
    if (wanted) for (const value of fresh) seen.add(value);
    return wanted;
  });
}

describe('the well-behaved twin', () => {
  it('passes the catalogue, and every requirement is seen to hold', { timeout: 1_800_000 }, async () => {
    const { variants: results } = await judge(twin, sample(variants.filter((variant) => !beyondTheTwin(variant))), 16);
    expect(results.filter(({ verdict }) => verdict !== 'pass').map(told)).toEqual([]);
    const held = new Set(
      results.flatMap(({ requirements }) =>
        requirements.filter(({ judgement }) => judgement.outcome === 'hold').map(({ requirement }) => requirement),
      ),
    );
    expect(twinned.filter((id) => !held.has(id))).toEqual([]);
  });
});

const levelOf = (requirement: string) => registry.find(({ id }) => id === requirement)!.level;

/** Requirements that some twin broke. */
const everBroken = new Set<string>();

describe('twins with a fault', () => {
  it.concurrent.each(twinFaults)('$name breaks $breaks', { timeout: 600_000 }, async (fault) => {
    const qemu = await binary(fault.name);
    const attempt = () => judge(qemu, variantsFor(fault), 1, levelOf(fault.breaks));
    const breaking = (results: readonly VariantResult[]) =>
      results.filter((result) => brokenIn(result).includes(fault.breaks));
    const shows = ({ variants: results }: RunResult) => breaking(results).length === results.length;
    let judged = await attempt();
    for (let rest = ATTEMPTS - 1; rest > 0 && !shows(judged) && (await starved(judged)); rest--)
      judged = await attempt();
    const { variants: results } = judged;
    const broken = breaking(results);
    const seen = results.map((result) => `${told(result)}; broken: ${brokenIn(result)}`);
    for (const id of broken.flatMap(brokenIn)) everBroken.add(id);
    expect(broken.length, seen.join('\n')).toBe(results.length);
    expect(
      broken.every(({ verdict }) => verdict === 'fail'),
      seen.join('\n'),
    ).toBe(true);
  });
});

describe('all twins together', () => {
  it('break every requirement', () => expect(twinned.filter((id) => !everBroken.has(id))).toEqual([]));
});
