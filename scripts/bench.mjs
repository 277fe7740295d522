// Ratios, not times: what the tester adds to the QEMU that it tests. See docs/bench.md for what they mean.
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { builtinCases, expand, loadCatalogue, vocabulary } from '../dist/cases/index.js';
import { DEFAULT_PROFILE, Peer, profiles } from '../dist/peer/index.js';
import { commandLine, findQemu, haltBios, launch, probe, Workspace } from '../dist/qemu/index.js';
import { pool, run } from '../dist/runner/index.js';
import { Recorder } from '../dist/timeline/index.js';

const ROUNDS = 5;
const PER_ROUND = 120;
const JOBS = Number(process.argv[2] ?? 4);

const facts = await probe(await findQemu(process.env.VHOST_RECONNECT_QEMU));
const cases = (await loadCatalogue([builtinCases], vocabulary)).flatMap((definition) =>
  expand(definition, { roles: ['server'], machines: ['q35'] }),
);
// A client's return waits for QEMU's own retry timer; nothing of a server's does, unless the peer answers late.
const waits = ({ minimumMs, steps }) => minimumMs > 0 || steps.some(({ params }) => params?.back?.late !== undefined);
// What a bare life cycle can be compared with: one life of a QEMU, one loss at most, nothing that has a length of its own.
const plain = new Set(['peer', 'await', 'traffic', 'driver', 'restart', 'second-client', 'quit']);
const oneLife = ({ steps }) =>
  steps.every(({ verb }) => plain.has(verb)) && steps.filter(({ verb }) => verb === 'restart').length <= 1;
const variants = cases.filter(
  (variant) =>
    variant.selection !== 'full' &&
    variant.queuePairs === 1 &&
    variant.needs.length === 0 &&
    oneLife(variant) &&
    !waits(variant),
);
const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];
const told = new Set();
const never = new AbortController().signal;

/** Spawn, handshake (QMP is deaf before), QMP ready, quit: the least that any test of such a QEMU must spend. */
async function bareCycle(workspace, biosPath) {
  const dir = await workspace.makeDir();
  const recorder = new Recorder();
  const paths = { qmpPath: join(dir.path, 'qmp.sock'), qtestPath: join(dir.path, 'qtest.sock') };
  const socketPath = join(dir.path, 'vhost-user.sock');
  const argv = commandLine({
    facts,
    role: 'server',
    machine: 'q35',
    accel: 'auto',
    queuePairs: 1,
    memory: 64 << 20,
    reconnectMs: 0,
    socketPath,
    biosPath,
    ...paths,
  });
  const peer = new Peer({ role: 'server', path: socketPath, profile: profiles[DEFAULT_PROFILE], recorder });
  const qemu = await launch({ path: facts.path, argv, cwd: dir.path, core: true, recorder, ...paths });
  await peer.arrive({}, true);
  await qemu.qmp;
  qemu.quit();
  await qemu.exited;
  await peer.close();
  await qemu.dispose();
  await dir.remove();
}

async function bareRate() {
  const workspace = await Workspace.create();
  try {
    const biosPath = workspace.file('halt.bin');
    await writeFile(biosPath, haltBios());
    const start = performance.now();
    await pool(Array.from({ length: PER_ROUND }), JOBS, never, () => bareCycle(workspace, biosPath));
    return (1000 * PER_ROUND) / (performance.now() - start);
  } finally {
    await workspace.close();
  }
}

async function variantRate(out) {
  const repeat = Math.ceil(PER_ROUND / variants.length);
  const start = performance.now();
  const result = await run({
    variants,
    facts,
    profile: DEFAULT_PROFILE,
    accel: 'auto',
    jobs: JOBS,
    repeat,
    out,
    reporters: [],
    signal: never,
    selection: {},
    tester: { name: 'bench', version: '0' },
    reproduce: () => '',
  });
  const seconds = (performance.now() - start) / 1000;
  for (const { variant, verdict, reason } of result.variants) {
    if (verdict === 'pass' || told.has(variant)) continue;
    told.add(variant);
    console.error(`${variant}: ${verdict}: ${reason}`);
  }
  return { rate: result.variants.length / seconds, results: result.variants };
}

/** From the peer's return to the last ring started, and how much of it QEMU's main thread was on a CPU. */
function restarts(out, results) {
  return results.flatMap(({ timeline }) => {
    const events = readFileSync(join(out, timeline), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const opens = events.filter(({ type, session }) => type === 'session.open' && session > 1);
    return opens.flatMap((open) => {
      const mine = events.filter(({ session }) => session === open.session);
      const last = mine.findLast(({ type }) => type === 'ring.start');
      if (!last) return [];
      // Ours: from a message's record to the record of its answer. The rest is QEMU's, the kernel's and the scheduler's.
      let ours = 0;
      for (const [i, event] of mine.entries()) {
        const next = mine[i + 1];
        if (
          event.type === 'wire.recv' &&
          next &&
          next.t <= last.t &&
          (next.type === 'wire.send' || next.type.startsWith('ring.'))
        )
          ours += next.t - event.t;
      }
      return [{ total: last.t - open.t, ours }];
    });
  });
}

const out = await mkdtemp(join(tmpdir(), 'vhost-reconnect-bench-'));
try {
  console.error(`${facts.versionText}; ${variants.length} variants that wait for no timer, ${JOBS} side by side`);
  // Both once unmeasured: caches and the JIT compiler warm up.
  await bareRate();
  await variantRate(out);
  const rounds = [];
  for (let i = 0; i < ROUNDS; i++) {
    const bare = await bareRate();
    const { rate, results } = await variantRate(out);
    const restart = restarts(out, results);
    rounds.push({ bare, rate, ratio: rate / bare, restart });
    console.error(
      `round ${i + 1}: bare ${bare.toFixed(1)}/s, variants ${rate.toFixed(1)}/s, ratio ${(rate / bare).toFixed(2)}`,
    );
  }
  const all = rounds.flatMap(({ restart }) => restart);
  const total = median(all.map((restart) => restart.total));
  const share = median(all.map((restart) => restart.ours / restart.total));
  console.log(
    `variants per second / bare life cycles per second: ${median(rounds.map(({ ratio }) => ratio)).toFixed(2)}`,
  );
  console.log(
    `return to rings restarted: median ${total.toFixed(1)} ms of ${all.length}; ours ${(100 * share).toFixed(0)} % of it`,
  );
} finally {
  await rm(out, { recursive: true, force: true });
}
