// Ratios, not times: what the tester adds to the QEMU that it tests. See docs/bench.md for what they mean.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { builtinCases, expand, loadCatalogue, missing, vocabulary } from '../dist/cases/index.js';
import { registry } from '../dist/contract/index.js';
import { DEFAULT_PROFILE, Peer, profiles } from '../dist/peer/index.js';
import { commandLine, findQemu, haltBios, identify, launch, probe, Workspace } from '../dist/qemu/index.js';
import { FileReporter, HtmlReporter } from '../dist/report/index.js';
import { defaultJobs, pool, run, summarise } from '../dist/runner/index.js';
import { Recorder } from '../dist/timeline/index.js';

const ROUNDS = 5;
const PER_ROUND = 120;
const REPORTED = 5000;
const JOBS = Number(process.argv[2] ?? 4);

const facts = await probe(await findQemu(process.env.VHOST_RECONNECT_QEMU));
// Once a run, whatever runs: it would be most of what so short a run as a round here costs beside its variants.
const identity = await identify(facts.binary);
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
    variant.driver !== 'guest' &&
    variant.queuePairs === 1 &&
    variant.needs.length === 0 &&
    oneLife(variant) &&
    !waits(variant),
);
// The first suite's: what the ratio was measured with first, so that it can be told whether the tester got slower since.
const firstIds = [
  'leave.many[role=server]',
  'quit.connected[role=server,driver=none]',
  'quit.connected[role=server,driver=linux]',
  'server.absence.within-timer[absence=0ms,driver=none,leave=close]',
  'server.absence.within-timer[absence=0ms,driver=linux,leave=close]',
  'server.absence.within-timer[absence=0ms,driver=linux,leave=abort]',
  'server.path.untouched',
  'server.return.before-noticed[driver=none,leave=close]',
  'server.return.before-noticed[driver=linux,leave=close]',
  'server.return.before-noticed[driver=linux,leave=abort]',
  'server.second-client.at-first[driver=none]',
  'server.second-client.at-first[driver=linux]',
];
const first = cases.filter(({ id }) => firstIds.includes(id));
if (first.length < firstIds.length) throw new Error('a variant that the first bench had has another id');
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

async function variantRate(out, variants) {
  const repeat = Math.ceil(PER_ROUND / variants.length);
  const start = performance.now();
  const result = await run({
    variants,
    facts,
    identity,
    profile: DEFAULT_PROFILE,
    accel: 'auto',
    jobs: JOBS,
    repeat,
    out,
    reporters: [],
    signal: never,
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

/** CPU time so far in ms: of this process, and of its children that have ended (proc_pid_stat(5), in ticks of 10 ms). */
function cpu() {
  const { user, system } = process.cpuUsage();
  const fields = readFileSync('/proc/self/stat', 'latin1')
    .replace(/^.*\) /, '')
    .split(' ');
  return { own: (user + system) / 1000, children: 10 * (Number(fields[13]) + Number(fields[14])) };
}

function shareSince(before) {
  const now = cpu();
  const [own, children] = [now.own - before.own, now.children - before.children];
  return own / (own + children);
}

/** The quick selection as `run` has it: how near its wall time is to what cannot be less. */
async function quickSelection(out) {
  const chosen = (await loadCatalogue([builtinCases], vocabulary))
    .flatMap((definition) => expand(definition, { roles: ['server', 'client'], machines: ['q35'] }))
    .filter((variant) => variant.selection === 'quick' && missing(variant, facts) === undefined);
  const [before, start, jobs] = [cpu(), performance.now(), defaultJobs()];
  await run({ variants: chosen, facts, out, jobs, tester: { name: 'bench', version: '0' } });
  const [wall, now] = [performance.now() - start, cpu()];
  const busy = now.own - before.own + now.children - before.children;
  return {
    variants: chosen.length,
    jobs,
    perWait: wall / Math.max(...chosen.map(({ minimumMs }) => minimumMs)),
    perCpu: wall / (busy / availableParallelism()),
  };
}

/** The most memory that the program ever had while so many of the first suite's variants ran side by side, in MiB. */
async function peakMemory(out, jobs) {
  const program = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url));
  const told =
    "import { writeSync } from 'node:fs';" +
    "process.on('exit', () => writeSync(3, String(process.resourceUsage().maxRSS)));";
  const child = spawn(
    process.execPath,
    [
      ...['--import', `data:text/javascript,${encodeURIComponent(told)}`, program, 'run', ...firstIds],
      ...['--role', 'server', '--qemu', facts.path, '--jobs', String(jobs), '--repeat', '4', '--quiet', '--out', out],
    ],
    { stdio: ['ignore', 'ignore', 'inherit', 'pipe'] },
  );
  let text = '';
  child.stdio[3].on('data', (bytes) => {
    text += bytes;
  });
  const [code] = await once(child, 'close');
  // Known failures or new ones: what counts is that the variants ran.
  if (text === '' || code === null || code === 2) throw new Error(`no memory told by a run that ended with ${code}`);
  return Number(text) / 1024;
}

/** What a QEMU has of memory of its own at the end of a variant, beside the guest's, in MiB. */
function qemuMemory(out, results) {
  const samples = results.flatMap(
    ({ timeline }) =>
      readFileSync(join(out, timeline), 'utf8')
        .match(/"type":"proc\.sample".*"anonymous":\d+/g)
        ?.slice(-1) ?? [],
  );
  return median(samples.map((sample) => Number(/"anonymous":(\d+)/.exec(sample)[1]))) / 2 ** 20;
}

/** How long the reports of a big run take to write: results of before, so often over, each under a name of its own. */
async function reportTimes(out, results) {
  const variants = Array.from({ length: REPORTED }, (_, i) => {
    const one = results[i % results.length];
    return { ...one, place: i, variant: `${one.variant.replace(/\]$/, '')},copy=${i}]` };
  });
  const base = await run({ variants: [], facts, out, tester: { name: 'bench', version: '0' } });
  const result = { ...base, variants, summary: summarise(variants) };
  const times = [];
  for (const [name, reporter] of [
    ['files for programs', new FileReporter(registry)],
    ['report.html', new HtmlReporter(registry)],
  ]) {
    const start = performance.now();
    await reporter.onEnd(result, out);
    times.push({ name, ms: performance.now() - start });
  }
  return times;
}

/** Shows the figures of before, and with RECORD=1 adds today's. */
async function trend(figures) {
  const file = new URL('../docs/bench-history.jsonl', import.meta.url);
  const today = { date: new Date().toISOString().slice(0, 10), qemu: facts.version, ...round2(figures) };
  const before = (await readFile(file, 'utf8').catch(() => '')).split('\n').filter(Boolean);
  const rows = [...before.map((line) => JSON.parse(line)), today].slice(-8);
  const names = Object.keys(today);
  console.log(`\n${names.map((name) => name.padEnd(14)).join('')}`);
  for (const row of rows) console.log(names.map((name) => String(row[name] ?? '-').padEnd(14)).join(''));
  if (process.env.RECORD) await writeFile(file, `${[...before, JSON.stringify(today)].join('\n')}\n`);
}

const round2 = (figures) =>
  Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, Math.round(value * 100) / 100]));

const out = await mkdtemp(join(tmpdir(), 'vhost-reconnect-bench-'));
// The reaper sees to the QEMUs of a process that ends; this folder is its own.
process.once('exit', () => rmSync(out, { recursive: true, force: true }));
process.once('SIGINT', () => process.exit(130));
process.once('SIGTERM', () => process.exit(143));

console.error(`${facts.versionText}; ${variants.length} variants that wait for no timer, ${JOBS} side by side`);
// Both once unmeasured: caches and the JIT compiler warm up.
await bareRate();
await variantRate(out, variants);
const rounds = [];
for (let i = 0; i < ROUNDS; i++) {
  const bare = await bareRate();
  const before = cpu();
  const { rate, results } = await variantRate(out, variants);
  const cpuShare = shareSince(before);
  const then = (await variantRate(out, first)).rate / bare;
  const restart = restarts(out, results);
  rounds.push({ bare, rate, ratio: rate / bare, then, restart, cpuShare, results });
  console.error(
    `round ${i + 1}: bare ${bare.toFixed(1)}/s, variants ${rate.toFixed(1)}/s, ratio ${(rate / bare).toFixed(2)}, of the first suite's ${then.toFixed(2)}`,
  );
}
const quick = await quickSelection(out);
const alone = await peakMemory(out, 1);
const crowded = await peakMemory(out, quick.jobs);
const reports = await reportTimes(out, rounds.at(-1).results);
const all = rounds.flatMap(({ restart }) => restart);
const total = median(all.map((restart) => restart.total));
const share = median(all.map((restart) => restart.ours / restart.total));
console.log(
  `variants per second / bare life cycles per second: ${median(rounds.map(({ ratio }) => ratio)).toFixed(2)}`,
);
console.log(`the same of the first suite's ${first.length}: ${median(rounds.map(({ then }) => then)).toFixed(2)}`);
console.log(
  `return to rings restarted: median ${total.toFixed(1)} ms of ${all.length}; ours ${(100 * share).toFixed(0)} % of it`,
);
const cpuShare = median(rounds.map((round) => round.cpuShare));
console.log(`CPU of the tester / CPU of tester and QEMUs, in those variants: ${cpuShare.toFixed(2)}`);
console.log(
  `quick selection, ${quick.variants} variants, ${quick.jobs} at a time: wall / longest wait in it ${quick.perWait.toFixed(2)}, ` +
    `wall / CPU time on all cores ${quick.perCpu.toFixed(2)}`,
);
console.log(
  `memory: tester ${alone.toFixed(0)} MiB at most with one variant at a time, ${crowded.toFixed(0)} MiB with ` +
    `${quick.jobs} side by side; QEMU ${qemuMemory(out, rounds.at(-1).results).toFixed(0)} MiB each, beside its guest's`,
);
console.log(
  `reports of ${REPORTED} variants / one bare life cycle: ` +
    reports
      .map(({ name, ms }) => `${name} ${((ms * median(rounds.map(({ bare }) => bare))) / 1000).toFixed(0)}`)
      .join(', '),
);
await trend({
  ratio: median(rounds.map(({ ratio }) => ratio)),
  ours: share,
  cpuShare,
  quickPerWait: quick.perWait,
  quickPerCpu: quick.perCpu,
  mibAlone: alone,
  mibSideBySide: crowded,
});
