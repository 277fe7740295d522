/** The destination of a migration: what a source sends, read as it comes. */
export { MigrationError, type MigrationErrorCode } from './error.js';
export { ReceivedPages } from './received.js';
export { type GuestRing, savedRings } from './saved-rings.js';
export { MigrationSink, type SinkOptions } from './sink.js';
export { MigrationStream, PAGE_SIZE, type RamBlock, type StreamListener } from './stream.js';
