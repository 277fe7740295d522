export { pool } from './pool.js';
export * from './result.js';
export { defaultJobs, exitCode, fileName, type RunOptions, run } from './run.js';
export { breaks } from './verdict.js';
