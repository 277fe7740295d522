// Full runs in a row on a machine whose cores and disk are busy. The tester must be steady: what a variant comes to in one
// run, it comes to in all. What is compared is whether QEMU did as expected, not how it failed: one defect can crash or hang.
// Several QEMUs are run side by side under the one load, each against its own first run. What --keep leaves can be judged
// again by a later build of the tester.
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const USAGE = 'usage: node scripts/repeat.mjs [--runs N] [--qemu PATH]... [--keep DIR] [-- options of run]';

function options() {
  try {
    const { values, positionals } = parseArgs({
      options: {
        runs: { type: 'string', default: '30' },
        qemu: { type: 'string', multiple: true },
        keep: { type: 'string' },
      },
      allowPositionals: true,
    });
    const runs = Number(values.runs);
    if (!Number.isInteger(runs) || runs < 1) throw new Error(`${values.runs} is no number of runs`);
    return { runs, qemus: values.qemu ?? [undefined], keep: values.keep, args: positionals };
  } catch (error) {
    console.error(`${error.message} (${USAGE})`);
    process.exit(2);
  }
}

const { runs, qemus, keep, args } = options();
const out = mkdtempSync(join(tmpdir(), 'vhost-reconnect-repeat-'));
const children = new Set();

/** @returns the child, which dies with this process at the latest */
function start(argv, stdio) {
  const child = spawn(process.execPath, argv, { stdio });
  children.add(child);
  child.once('exit', () => children.delete(child));
  return child;
}

// Asking for the parent is all the work: a core is busy with it, and it ends by itself should this process be killed.
const BUSY = `while (process.ppid === ${process.pid});`;
/** Writes, flushes to the disk and deletes a file, for ever. */
const FLUSH = `
  const { closeSync, fsyncSync, openSync, unlinkSync, writeSync } = require('node:fs');
  const block = Buffer.alloc(1 << 20, 1);
  const file = process.argv[1];
  while (process.ppid === ${process.pid}) {
    const fd = openSync(file, 'w');
    for (let i = 0; i < 8; i++) writeSync(fd, block);
    fsyncSync(fd);
    closeSync(fd);
    unlinkSync(file);
  }`;

const cores = availableParallelism();
for (let i = 0; i < cores; i++) start(['-e', BUSY], 'ignore');
start(['-e', FLUSH, join(out, 'flushed')], 'ignore');

let stopped;
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
])
  process.once(signal, () => {
    stopped = code;
    for (const child of children) child.kill('SIGTERM');
  });

/** One run's exit code, its result, and what it said when there is none. */
function oneRun(qemu, dir) {
  const which = qemu ? ['--qemu', qemu] : [];
  const argv = ['dist/cli/main.js', 'run', '--quiet', '--out', dir, ...which, ...args];
  const child = start(argv, ['ignore', 'ignore', 'pipe']);
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text) => {
    said += text;
  });
  return new Promise((resolve) =>
    child.once('close', (code, signal) => {
      try {
        resolve({ code, result: JSON.parse(readFileSync(join(dir, readdirSync(dir)[0], 'results.json'), 'utf8')) });
      } catch {
        resolve({ code: code ?? signal, said: said.trim() });
      }
    }),
  );
}

/** What a variant came to, whatever the kind of failure. */
function stateOf({ verdict, expectation }) {
  if (expectation?.state === 'stale') return 'stale';
  if (verdict === 'fail') return expectation?.state === 'met' ? 'as expected' : 'unexpected failure';
  return verdict === 'inconclusive' ? verdict : 'as expected';
}

function remarks({ kind, changed, before, expectation, reason }) {
  return [
    kind ? ` (${kind})` : '',
    changed ? `, in run 1 ${before}` : '',
    expectation?.held.length > 0 ? `, ${expectation.held.join(', ')} held` : '',
    expectation?.more.length > 0 ? `, ${expectation.more.join(', ')} broke` : '',
    reason ? `: ${reason}` : '',
  ].join('');
}

/** The runs of one QEMU, and what they come to beside the first. */
class Series {
  #sum = { unexpected: 0, stale: 0, inconclusive: 0, changed: 0, broken: 0 };
  #first;
  #known = false;
  #done = 0;
  #version = '';

  constructor(qemu) {
    this.qemu = qemu;
  }

  async run(number) {
    for (let i = 1; i <= runs; i++) {
      const dir = join(keep ?? out, `${number}-${i}`);
      const run = await oneRun(this.qemu, dir);
      if (stopped !== undefined) return;
      this.#tell(i, run);
      if (keep === undefined) rmSync(dir, { recursive: true, force: true });
      this.#done++;
      // Bad usage does not mend itself.
      if (run.code === 2) return;
    }
  }

  #tell(i, { code, result, said }) {
    if (!result) {
      this.#sum.broken++;
      console.log(`${this.#version}run ${i}: exit ${code}, no results: ${said}`);
      return;
    }
    const { variants, summary, durationMs } = result;
    if (qemus.length > 1) this.#version = `${result.qemu.version}: `;
    this.#known ||= result.expectations !== undefined;
    const states = new Map(variants.map((one) => [one.variant, { ...one, state: stateOf(one) }]));
    this.#first ??= states;
    const odd = [...states].flatMap(([id, one]) => {
      const before = this.#first.get(id)?.state;
      const changed = one.state !== before;
      return changed || one.state !== 'as expected' ? [{ ...one, changed, before }] : [];
    });
    for (const [variant, before] of this.#first)
      if (!states.has(variant)) odd.push({ variant, state: 'not run', changed: true, before: before.state });
    const of = (state) => odd.filter((one) => one.state === state).length;
    const counts = { unexpected: of('unexpected failure'), stale: of('stale'), inconclusive: of('inconclusive') };
    const changed = odd.filter((one) => one.changed).length;
    for (const [key, n] of Object.entries({ ...counts, changed })) this.#sum[key] += n;
    const { pass, fail, skip } = summary;
    const expected = fail - counts.unexpected;
    console.log(
      `${this.#version}run ${i}: exit ${code}, ${pass} pass, ${expected} fail as expected, ${counts.unexpected} unexpected, ` +
        `${counts.stale} stale, ${counts.inconclusive} inconclusive, ${skip} skip, ${(durationMs / 1000).toFixed(1)} s`,
    );
    for (const one of odd) console.log(`  ${one.variant}: ${one.state}${remarks(one)}`);
  }

  /** Prints what it came to. @returns whether the verdicts were steady, and none was worse than is known of this QEMU */
  conclude() {
    const { changed, unexpected, stale, inconclusive, broken } = this.#sum;
    console.log(
      `${this.#version}${this.#done} runs with ${cores} cores and the disk busy: ${changed} verdicts changed, ` +
        `${unexpected} unexpected, ${stale} stale, ${inconclusive} inconclusive, ${broken} runs without results`,
    );
    // A QEMU of which nothing is known may fail, as long as it does so every time.
    const steady = this.#done > 0 && changed + stale + inconclusive + broken === 0;
    return steady && (!this.#known || unexpected === 0);
  }
}

const series = qemus.map((qemu) => new Series(qemu));
try {
  await Promise.all(series.map((one, number) => one.run(number)));
} finally {
  const gone = [...children].map((child) => new Promise((resolve) => child.once('exit', resolve)));
  for (const child of children) child.kill('SIGKILL');
  await Promise.all(gone);
  rmSync(out, { recursive: true, force: true });
}
const good = series.map((one) => one.conclude()).every(Boolean);
process.exitCode = stopped ?? (good ? 0 : 1);
