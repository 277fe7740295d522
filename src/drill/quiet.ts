import type { Event, EventType } from '../timeline/index.js';

const QUIET: ReadonlySet<EventType> = new Set<EventType>([
  'pace',
  'proc.sample',
  'qmp.heartbeat',
  'ring.kick',
  'ring.call',
  'guest.echo',
  'guest.ping',
  'peer.other',
]);

/** Whether an event is everyday business, that nobody wants to read as it comes by. */
export const isQuiet = ({ type }: Event): boolean => QUIET.has(type);
