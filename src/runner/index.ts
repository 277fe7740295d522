export { expectedSchema, loadExpectations } from './expectation-file.js';
export { Expectations } from './expectations.js';
export { pool } from './pool.js';
export * from './result.js';
export { defaultJobs, exitCode, fileName, isExpected, type RunOptions, run, summarise } from './run.js';
export { breaks } from './verdict.js';
