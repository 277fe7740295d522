import type { Selection } from '../cases/index.js';
import type { ContractLevel, Outage, Result, Stall } from '../contract/index.js';
import type { Event, Ms, Role } from '../timeline/index.js';

/** See the words in docs/architecture.md. */
export type Verdict = 'pass' | 'fail' | 'inconclusive' | 'skip';

/** How a variant failed; crash outranks hang outranks violation. */
export type FailKind = 'crash' | 'hang' | 'violation';

/** One requirement judged on one timeline. */
export type RequirementResult = Result;

/** How a result stands to the entry of the expectation file that is about its variant. */
export interface Expectation {
  /** met: it failed as expected. stale: something held that always breaks. exceeded: more broke. */
  state: 'met' | 'stale' | 'exceeded';
  /** Where the entry stands: `file:line`. */
  place: string;
  /** Why QEMU is expected to fail, and where there is more to read. */
  reason: string;
  reference: string;
  /** What broke; of what is expected, what held; and what broke beside it. */
  broken: string[];
  held: string[];
  more: string[];
}

/** What came out of one variant. */
export interface VariantResult {
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

/** What came out of a run: the content of results.json. */
export interface RunResult {
  schema: 1;
  tester: { name: string; version: string };
  startedAt: string;
  durationMs: Ms;
  qemu: { path: string; version: string; versionText: string };
  /** The expectation file that was used; absent: every failure counts. */
  expectations?: { file: string };
  /** The selection as given on the command line. */
  selection: {
    selectors: string[];
    roles: Role[];
    machines: string[];
    profiles: string[];
    repeat: number;
    jobs: number;
    /** quick, standard or full. */
    selection: Selection;
    /** Requirements from this level up failed a variant. */
    level: ContractLevel;
  };
  summary: Summary;
  variants: VariantResult[];
  /** Variants that the run's early end left out. */
  notRun: number;
  /** True when SIGINT or SIGTERM ended the run early; what had not run is not in `variants`. */
  interrupted: boolean;
  /** As designed: 0, 1, 3, 4, 130 (2 never gets this far). */
  exitCode: number;
}

/** A passive listener of a run. Methods are called in order and must not throw. */
export interface Reporter {
  onStart?(plan: {
    total: number;
    jobs: number;
    qemu: RunResult['qemu'];
    expectations?: { file: string };
    out: string;
  }): void;
  /** A dry run found so many further variants that will be run. */
  onDiscovery?(found: { variants: number }): void;
  onVariantStart?(variant: { id: string }): void;
  onVariantEnd?(result: VariantResult): void;
  /** May write files; the run waits for it. */
  onEnd?(result: RunResult, out: string): Promise<void> | void;
}
