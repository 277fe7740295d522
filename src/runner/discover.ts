import { type CutPlace, cutText } from '../peer/index.js';
import type { EventOf, Timeline } from '../timeline/index.js';

/**
 * The points at which the peer could have left in the phase of a dry run, in their order: at every message that came, every
 * place that there is at it. None when the phase did not come to its end.
 */
export function cutPoints(t: Timeline): string[] {
  const begin = t.first('phase.begin');
  const end = t.first('phase.end');
  if (!begin || !end) return [];
  const seen = new Map<string, number>();
  return t
    .all('wire.recv')
    .filter(({ seq }) => seq > begin.seq && seq < end.seq)
    .flatMap((message) => {
      const nth = (seen.get(message.name) ?? 0) + 1;
      seen.set(message.name, nth);
      return placesAt(t, message).map((place) => cutText({ message: message.name, nth, place }));
    });
}

function placesAt(t: Timeline, message: EventOf<'wire.recv'>): CutPlace[] {
  const { session, request, size, seq } = message;
  const next = t.first('wire.recv', (other) => other.session === session, seq)?.seq ?? Infinity;
  const reply = t.first(
    'wire.send',
    (sent) => sent.session === session && sent.channel === 'reply' && sent.request === request,
    seq,
  );
  const answered = reply !== undefined && reply.seq < next;
  return [
    'before-read',
    ...(size > 0 ? (['half-read'] as const) : []),
    'after-read',
    ...(answered ? (['half-header', 'half-payload', 'after-reply'] as const) : []),
  ];
}
