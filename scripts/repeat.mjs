// Full runs in a row while every core is busy: one verdict that changes, or one inconclusive, is a failure.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';

const runs = Number(process.argv[2] ?? 30);
if (!Number.isInteger(runs) || runs < 1) {
  console.error(`${process.argv[2]} is no number of runs`);
  process.exit(2);
}
const load = Array.from({ length: availableParallelism() }, () =>
  spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' }),
);
const out = mkdtempSync(join(tmpdir(), 'vhost-reconnect-repeat-'));
let first;
let changed = 0;
try {
  for (let i = 1; i <= runs; i++) {
    const dir = join(out, String(i));
    const { status } = spawnSync(process.execPath, ['dist/cli/main.js', 'run', '--out', dir], { stdio: 'ignore' });
    const { variants, summary, durationMs } = JSON.parse(
      readFileSync(join(dir, readdirSync(dir)[0], 'results.json'), 'utf8'),
    );
    const verdicts = new Map(variants.map(({ variant, verdict, reason }) => [variant, { verdict, reason }]));
    first ??= verdicts;
    const diff = [...verdicts].filter(
      ([id, { verdict }]) => verdict !== first.get(id)?.verdict || verdict === 'inconclusive',
    );
    changed += diff.length;
    const { pass, fail, inconclusive, skip } = summary;
    console.log(
      `run ${i}: exit ${status}, ${pass} pass, ${fail} fail, ${inconclusive} inconclusive, ${skip} skip, ${(durationMs / 1000).toFixed(1)} s`,
    );
    for (const [id, { verdict, reason }] of diff) console.log(`  ${id}: ${verdict}: ${reason}`);
    rmSync(dir, { recursive: true });
  }
} finally {
  for (const child of load) child.kill('SIGKILL');
  rmSync(out, { recursive: true, force: true });
}
console.log(`${runs} runs with ${load.length} cores busy: ${changed} verdicts changed or inconclusive`);
process.exitCode = changed === 0 ? 0 : 1;
