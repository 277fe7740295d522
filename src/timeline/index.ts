export * from './events.js';
export { toRanges } from './ranges.js';
export { type Listener, Recorder, type RecorderOptions, type Recording } from './recorder.js';
export { readTimeline, TimelineError, TimelineWriter, writeTimeline } from './store.js';
export { firstIndex, type SessionEventType, type SessionSpan, Timeline } from './timeline.js';
