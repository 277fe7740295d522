export { renderComparison } from './comparison.js';
export { type ConsoleOptions, ConsoleReporter, type TextStream } from './console.js';
export { describeEvent, renderEvents } from './describe.js';
export { breaksOf, type FailureGroup, groupFailures } from './failure.js';
export { JsonReporter, JunitReporter } from './files.js';
export { clip, count, formatMs, printable, wrap } from './format.js';
export { renderJunit } from './junit.js';
export { type Paint, paint, wantsColour } from './paint.js';
export { banner, countsOf, renderFailure, renderSummary } from './summary.js';
