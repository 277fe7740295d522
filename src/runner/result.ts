import type { Selection } from '../cases/index.js';
import type { ContractLevel, Outage, Result, Stall } from '../contract/index.js';
import type { Host } from '../os/index.js';
import type { QemuIdentity } from '../qemu/index.js';
import type { Event, Ms, Role } from '../timeline/index.js';

/** See the words in docs/architecture.md. */
export type Verdict = 'pass' | 'fail' | 'inconclusive' | 'skip';

/** How a variant failed; crash outranks hang outranks violation. */
export type FailKind = 'crash' | 'hang' | 'violation';

/** One requirement judged on one timeline. */
export type RequirementResult = Result;

/** How a result stands to the entry of the expectation file that is about its variant. */
export interface Expectation {
  /** met: it failed as expected. stale: something held that always breaks. exceeded: more broke, or in another way. */
  state: 'met' | 'stale' | 'exceeded';
  /** Where the entry stands: `file:line`. */
  place: string;
  /** Why QEMU is expected to fail, and where there is more to read. */
  reason: string;
  reference: string;
  /** What broke; of what is expected, what held; and what broke beside it, or in another way than is known. */
  broken: string[];
  held: string[];
  more: string[];
}

/** What came out of one variant. */
export interface VariantResult {
  /** Where it stands in the whole selection: in this order results come, of shards that were merged, too. */
  place: number;
  variant: string;
  case: string;
  title: string;
  role: Role;
  machine: string;
  profile: string;
  verdict: Verdict;
  /** For `fail`. */
  kind?: FailKind;
  /** For `skip` and `inconclusive`: why. For `fail`: the worst break in one line. */
  reason?: string;
  /** Where something was expected of it. */
  expectation?: Expectation;
  /** Every requirement of the registry, in its order; empty for `skip`. */
  requirements: RequirementResult[];
  outages: Outage[];
  /** Times in which a peer kept QEMU's main loop waiting. */
  stalls: Stall[];
  durationMs: Ms;
  /** Path of the JSONL timeline relative to the output folder; absent for `skip`. */
  timeline?: string;
  /** For `fail` and `inconclusive`: the events that reports show, in order. */
  excerpt: Event[];
  /** The command that runs just this variant again. */
  reproduce: string;
}

/** Counts by verdict, and by kind the failures that nobody expected: `fail` is `expected + crash + hang + violation`. */
export interface Summary {
  total: number;
  pass: number;
  fail: number;
  inconclusive: number;
  skip: number;
  /** Failures that are known. */
  expected: number;
  /** Variants of which more held than is expected: their entry is out of date. */
  stale: number;
  crash: number;
  hang: number;
  violation: number;
}

/**
 * What came out of a run: the content of results.json, which docs/results.schema.json describes. `schema`
 * rises when a field goes or changes its meaning; further fields may come.
 */
export interface RunResult {
  schema: 2;
  tester: { name: string; version: string };
  /** The version of the contract that was judged by. */
  contract: { version: number };
  /** When the run began, in UTC: ISO 8601. */
  startedAt: string;
  durationMs: Ms;
  /** What was tested: the binary or script that was named, the binary that it executes, and which build that is. */
  qemu: { path: string; version: string; versionText: string; binary: string } & QemuIdentity;
  /** Where; several for shards that were merged. */
  hosts: Host[];
  /** The expectation file that was used; absent: every failure counts. */
  expectations?: { file: string; sha256?: string };
  /** The selection as given on the command line. */
  selection: {
    selectors: string[];
    roles: Role[];
    machines: string[];
    profiles: string[];
    accel: string;
    repeat: number;
    jobs: number;
    /** quick, standard or full. */
    selection: Selection;
    /** Requirements from this level up failed a variant. */
    level: ContractLevel;
    /** Which part of the selection was run; absent: all of it. `index` counts from 1. */
    shard?: { index: number; of: number };
  };
  /**
   * What was to be run, by all shards together: how many variants before dry runs discover more, and a checksum of what
   * they do. Absent where nothing was planned: a drill.
   */
  plan?: { variants: number; sha256: string };
  summary: Summary;
  variants: VariantResult[];
  /** The ids of the variants that the run's early end left out, as far as they were known. */
  notRun: string[];
  /** True when SIGINT or SIGTERM ended the run early; what had not run is not in `variants`. */
  interrupted: boolean;
  /** With --repeat-until-fail: how many rounds were begun; of each variant `variants` has the last result. */
  rounds?: number;
  /** As designed: 0, 1, 3, 4, 130 (2 never gets this far). */
  exitCode: number;
}

/** A passive listener of a run. Methods are called in order and must not throw. */
export interface Reporter {
  /** The run begins: `total` variants, `jobs` at a time, reports in `out`. */
  onStart?(plan: {
    total: number;
    jobs: number;
    qemu: Pick<RunResult['qemu'], 'path' | 'version' | 'versionText'>;
    expectations?: { file: string };
    out: string;
  }): void;
  /** So many further variants will be run: a dry run found them, or another round begins. */
  onDiscovery?(found: { variants: number }): void;
  /** A variant begins; several run side by side. */
  onVariantStart?(variant: { id: string }): void;
  /** A variant has its verdict, or was skipped. */
  onVariantEnd?(result: VariantResult): void;
  /** May write files; the run waits for it. */
  onEnd?(result: RunResult, out: string): Promise<void> | void;
}
