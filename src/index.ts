/** The public library: what the command line is made of, for programs of one's own. */
export {
  builtinCases,
  type Case,
  CaseError,
  CatalogueError,
  expand,
  loadCatalogue,
  missing,
  SelectorError,
  select,
  type Variant,
  type Verb,
  vocabulary,
} from './cases/index.js';
export { type Judgement, judgeAll, type Requirement, registry } from './contract/index.js';
export { DEFAULT_PROFILE, type Profile, profiles } from './peer/index.js';
export { findQemu, probe, QemuError, type QemuFacts } from './qemu/index.js';
export {
  ConsoleReporter,
  describeEvent,
  FileReporter,
  HtmlReporter,
  renderJunit,
  renderSummary,
} from './report/index.js';
export {
  defaultJobs,
  Expectations,
  loadExpectations,
  type Reporter,
  type RunOptions,
  type RunResult,
  run,
  type VariantResult,
} from './runner/index.js';
export { type Event, readTimeline, Timeline, TimelineError } from './timeline/index.js';
