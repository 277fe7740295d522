import { access, copyFile, mkdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { TIMELINES } from './execute.js';
import type { RunResult, VariantResult } from './result.js';
import { exitCode, summarise } from './run.js';
import { EXPECTED, type StoredRun, StoredRunError, TIMELINE_HINT } from './stored-run.js';

/** What must be the same in all shards, by the words of the message. */
const common: Record<string, (result: RunResult) => unknown> = {
  tester: ({ tester }) => tester.version,
  contract: ({ contract }) => contract.version,
  QEMU: ({ qemu: { versionText, sha256, buildId } }) => [versionText, sha256, buildId],
  'expectation file': ({ expectations }) => expectations && (expectations.sha256 ?? basename(expectations.file)),
  selection: ({ selection: { shard: _shard, jobs: _jobs, ...rest } }) => rest,
  cases: ({ plan }) => plan,
  'number of shards': ({ selection: { shard } }) => shard?.of,
};

/**
 * The result of the run that the shards together are, as one machine would have come to it.
 * @param runs every shard of one selection, once
 * @throws StoredRunError when they are not the shards of one run, or not all
 */
export function mergeRuns(runs: readonly StoredRun[]): RunResult {
  const [first, ...others] = runs.map(({ result }) => result);
  if (first === undefined) throw new StoredRunError('no run to merge', 'give the folders of all shards');
  const shards = runs.map(({ dir, result }) => {
    if (!result.selection.shard) throw new StoredRunError(`${dir} is no shard`, 'shards are runs with --shard i/n');
    return { dir, ...result.selection.shard };
  });
  for (const [what, of] of Object.entries(common))
    for (const [i, other] of others.entries())
      if (JSON.stringify(of(other)) !== JSON.stringify(of(first)))
        throw new StoredRunError(
          `${runs[0]!.dir} and ${runs[i + 1]!.dir} differ: ${what}`,
          'shards of one run have the same options, cases, QEMU and tester',
        );
  const { of } = shards[0]!;
  for (let index = 1; index <= of; index++) {
    const [one, another] = shards.filter((shard) => shard.index === index);
    if (!one) throw new StoredRunError(`shard ${index} of ${of} is missing`, `run it: --shard ${index}/${of}`);
    if (another) throw new StoredRunError(`${one.dir} and ${another.dir} are both shard ${index}`, 'give one of them');
  }
  const results = runs.map(({ result }) => result);
  const variants = results.flatMap((result) => result.variants).sort((a, b) => a.place - b.place);
  const notRun = results.flatMap((result) => result.notRun).sort();
  checkParts(first, variants, notRun);
  const interrupted = results.some((result) => result.interrupted);
  const begin = Math.min(...results.map(({ startedAt }) => Date.parse(startedAt)));
  const end = Math.max(...results.map(({ startedAt, durationMs }) => Date.parse(startedAt) + durationMs));
  const summary = summarise(variants);
  const { shard: _, ...selection } = first.selection;
  const { rounds: _rounds, ...rest } = first;
  const rounds = Math.max(0, ...results.map((result) => result.rounds ?? 0));
  return {
    ...rest,
    ...(rounds > 0 && { rounds }),
    startedAt: new Date(begin).toISOString(),
    durationMs: end - begin,
    hosts: [...new Map(results.flatMap(({ hosts }) => hosts).map((host) => [JSON.stringify(host), host])).values()],
    selection,
    summary,
    variants,
    notRun,
    interrupted,
    exitCode: exitCode({ summary, notRun, interrupted }),
  };
}

/** Each variant is in one shard. Who divides by other recorded durations comes to other parts. @throws StoredRunError */
function checkParts({ plan }: RunResult, variants: readonly VariantResult[], notRun: readonly string[]): void {
  const hint = 'run all shards with one installation of the tester';
  const twice = variants.find(({ place }, i) => place === variants[i - 1]?.place);
  if (twice) throw new StoredRunError(`${twice.variant} is in two shards`, hint);
  // What a dry run discovered stands between two whole places.
  const planned = variants.filter(({ place }) => Number.isInteger(place)).length;
  const missing = (plan?.variants ?? 0) - planned - notRun.length;
  if (missing > 0) throw new StoredRunError(`${missing} of ${plan?.variants} variants are in no shard`, hint);
}

/**
 * Brings the shards' timelines together, where the merged result says that they are, with the expectation file that they share.
 * @param out the folder of the merged run
 * @throws StoredRunError for one that is missing
 */
export async function mergeFiles(runs: readonly StoredRun[], out: string): Promise<void> {
  await mkdir(join(out, TIMELINES), { recursive: true });
  await copyFile(join(runs[0]!.dir, EXPECTED), join(out, EXPECTED)).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
  for (const { dir, result } of runs)
    for (const { variant, timeline } of result.variants) {
      if (timeline === undefined) continue;
      await access(join(dir, timeline)).catch((cause: Error) => {
        throw new StoredRunError(`${variant}: ${cause.message}`, TIMELINE_HINT, { cause });
      });
      await copyFile(join(dir, timeline), join(out, timeline));
    }
}
