import type { Drawing } from '../report/index.js';
import { draw } from '../report/index.js';
import { type Event, Timeline } from '../timeline/index.js';
import type { Port } from './port.js';

/** What is drawn of a drill that goes on: the last minute and a half. */
const WINDOW_MS = 90_000;
const NONE: ReadonlySet<number> = new Set();

/** The newest part of a port's timeline as a drawing; see <timeline-picture>. */
export function drawPort({ recorder }: Port): Drawing {
  const from = recorder.now() - WINDOW_MS;
  const first = recorder.events.findIndex(({ t }) => t >= from);
  if (first < 0) return draw(new Timeline([]), NONE, []).drawing;
  // What holds on from before the window begins with it.
  const before = recorder.events.slice(0, first);
  const last = (test: (event: Event) => boolean) => before.findLast(test);
  const open = last(({ type }) => type === 'session.open');
  const closed = last(({ type }) => type === 'session.close');
  const session = open && (!closed || closed.seq < open.seq) ? open : undefined;
  const word = session && last(({ type, seq }) => type === 'wire.recv' && seq > session.seq);
  const link = last(({ type }) => type === 'guest.carrier');
  const held = [session, word, link]
    .filter((event) => event !== undefined)
    .sort((a, b) => a.seq - b.seq)
    .map((event) => ({ ...event, t: from }));
  const events = [...held, ...recorder.events.slice(first)];
  return draw(new Timeline(events), NONE, []).drawing;
}
