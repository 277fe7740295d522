export * from './events.js';
export { toRanges } from './ranges.js';
export { type Listener, Recorder } from './recorder.js';
export { readTimeline, TimelineError, writeTimeline } from './store.js';
export { firstIndex, type SessionEventType, type SessionSpan, Timeline } from './timeline.js';
