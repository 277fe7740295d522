import { join } from 'node:path';
import type { Variant } from '../cases/index.js';
import type { ContractLevel } from '../contract/index.js';
import { DEFAULT_PROFILE, profiles } from '../peer/index.js';
import { type AccelChoice, QemuError, type QemuFacts } from '../qemu/index.js';
import { Recorder, writeTimeline } from '../timeline/index.js';
import { cutPoints } from './discover.js';
import type { VariantResult } from './result.js';
import { type GuestImage, VariantStage } from './stage.js';
import { assess, excerpt } from './verdict.js';

/** Folder of the timelines in the output folder. */
export const TIMELINES = 'timelines';

/** What all variants of a run share. */
export interface Environment {
  facts: QemuFacts;
  /** Name of the profile for cases that do not ask for one. */
  profile: string;
  accel: AccelChoice;
  biosPath: string;
  /** Where a variant has a guest of its own. */
  guest?: GuestImage;
  /** Makes a private directory; gone when the run ends, however it ends. */
  makeDir(): Promise<{ path: string; remove(): Promise<void> }>;
  /** The run's output folder, with TIMELINES in it. */
  out: string;
  testerVersion: string;
  /** Requirements from this level up fail a variant. */
  level: ContractLevel;
  signal: AbortSignal;
  /** The command that runs a variant again. */
  reproduce(variant: Variant): string;
}

/** The fields of a result that the variant itself gives. */
export function resultOf(variant: Variant, place: number, environment: Pick<Environment, 'profile' | 'reproduce'>) {
  const { id, caseId, title, role, machine, profile } = variant;
  return {
    place,
    variant: id,
    case: caseId,
    title,
    role,
    machine,
    profile: profile ?? environment.profile,
    reproduce: environment.reproduce(variant),
  };
}

/** One thing to run. */
export interface Job {
  variant: Variant;
  /** Of its timeline's file, without extension. */
  name: string;
  /** See VariantResult. */
  place: number;
}

/** What came of a variant, and for a dry run the variants that it discovered. */
export interface Execution {
  result: VariantResult;
  /** Writes the timeline to where the result says that it is. */
  store(): Promise<void>;
  discovered: Variant[];
}

/**
 * Runs one variant from start to verdict. Its timeline is not written yet: a result that does not count must not have one.
 * @throws only what is a bug of the tester or trouble with the output folder
 */
export async function execute({ variant, name, place }: Job, environment: Environment): Promise<Execution> {
  const recorder = new Recorder();
  const base = resultOf(variant, place, environment);
  const dir = await environment.makeDir();
  try {
    const stage = new VariantStage({
      variant,
      recorder,
      facts: environment.facts,
      profile: profiles[base.profile] ?? profiles[DEFAULT_PROFILE]!,
      accel: environment.accel,
      dir: dir.path,
      biosPath: environment.biosPath,
      ...(environment.guest && { guest: environment.guest }),
      testerVersion: environment.testerVersion,
      signal: environment.signal,
    });
    for (const part of [() => stage.run(), () => stage.finish()])
      await part().catch((error: unknown) => {
        recorder.record({ type: 'tester.trouble', what: describe(error) });
      });
  } catch (error) {
    if (!(error instanceof QemuError && error.code === 'ERR_QEMU_UNSUPPORTED')) throw error;
    const reason = error.message;
    return { result: skipped(base, reason), store: async () => {}, discovered: [] };
  } finally {
    await dir.remove();
  }
  const timeline = recorder.timeline();
  const assessed = assess(timeline, environment.level);
  const file = join(TIMELINES, `${name}.jsonl`);
  const result: VariantResult = {
    ...base,
    ...assessed,
    durationMs: timeline.end,
    timeline: file,
    excerpt: excerpt(timeline, assessed.requirements, assessed, environment.level),
  };
  const { discovery } = variant;
  const store = () => writeTimeline(join(environment.out, file), timeline.events);
  return { result, store, discovered: discovery ? cutPoints(timeline).map(discovery.with) : [] };
}

/** The result of a variant that was not run. */
export function skipped(base: ReturnType<typeof resultOf>, reason: string): VariantResult {
  return { ...base, verdict: 'skip', reason, requirements: [], outages: [], stalls: [], durationMs: 0, excerpt: [] };
}

/** A bug of ours, with the place it came from: it ends up in the reason of an inconclusive verdict. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return `tester: ${String(error)}`;
  const place = error.stack?.split('\n')[1]?.trim();
  return `tester: ${error.message}${place ? ` (${place})` : ''}`;
}
