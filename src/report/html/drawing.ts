/**
 * What `page/timeline-picture.js` draws: a timeline's events, sorted into lanes, with the states that they amount to. Plain
 * data, so that any page can be fed with it. Times are milliseconds of the timeline's clock.
 */
export interface Drawing {
  from: number;
  to: number;
  /** Names, from top to bottom. */
  lanes: string[];
  /** In order of time. */
  events: DrawnEvent[];
  spans: DrawnSpan[];
  /** Outages: shaded across all lanes. */
  shades: { from: number; to: number; text: string }[];
}

/**
 * How an event looks: a message `in` from QEMU or `out` to it, something that `open`s or `close`s, something `bad`, or a mere
 * `note`.
 */
export type EventLook = 'in' | 'out' | 'open' | 'close' | 'bad' | 'note';

export interface DrawnEvent {
  t: number;
  /** Index of its lane. */
  lane: number;
  look: EventLook;
  /** The verdict rests on it. */
  marked: boolean;
  text: string;
}

export interface DrawnSpan {
  from: number;
  to: number;
  lane: number;
  look: 'good' | 'bad' | 'warn' | 'off' | 'calm';
  /** Short: it stands in the span where there is room. */
  label: string;
  text: string;
}
