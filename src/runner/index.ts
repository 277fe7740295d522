export {
  type Change,
  type Comparison,
  compareRuns,
  type Difference,
  repetitionsApart,
  type Slower,
  type State,
} from './compare.js';
export { TIMELINES } from './execute.js';
export { expectedSchema, loadExpectations, type SeenPatterns } from './expectation-file.js';
export { Expectations, type KnownFailure } from './expectations.js';
export { mergeFiles, mergeRuns } from './merge.js';
export { pool } from './pool.js';
export { rejudge } from './rejudge.js';
export * from './result.js';
export { resultsSchema, runResult } from './result-schema.js';
export { defaultJobs, exitCode, fileName, isExpected, RunOptionError, type RunOptions, run, summarise } from './run.js';
export { DURATIONS, type Durations, recordedDurations, type Shard, shardOf } from './shard.js';
export { EXPECTED, RESULTS, readRun, type StoredRun, StoredRunError, timelineOf } from './stored-run.js';
export { type UpdatedFile, updateExpectations } from './update-expected.js';
export { assess, breaks, excerpt } from './verdict.js';
